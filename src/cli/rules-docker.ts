/** `natreplay rules docker`: the command line. What it does is in rules-docker-write.ts, which loads a YAML reader. */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Style } from '../rules/docker/firewall.js';
import type { ContainerWord } from '../rules/docker/optiontext.js';

export interface RulesDockerOptions {
  readonly network: readonly string[];
  readonly compose: readonly string[];
  readonly project?: string;
  readonly inspect: readonly string[];
  readonly style: Style;
  readonly bip?: string;
  readonly fixedCidrV6?: string;
  readonly ip?: string;
  readonly icc: boolean;
  readonly ipMasq: boolean;
  readonly userlandProxy: boolean;
  readonly allowDirectRouting: boolean;
  readonly forwardPolicy: 'drop' | 'accept';
  readonly iface: readonly string[];
  readonly route: readonly string[];
  readonly ipv6?: boolean;
  readonly output: string;
  readonly out6?: string;
  readonly hostOut?: string;
}

const collect = (value: string, previous: readonly string[]): string[] => [...previous, value];

export function dockerCommand(): Command {
  // `-p` is of the container that stands before it, so their order counts.
  const words: ContainerWord[] = [];
  const word =
    (kind: ContainerWord['kind']) =>
    (text: string): ContainerWord[] => {
      words.push({ kind, text });
      return words;
    };
  return new Command('docker')
    .description('the rules Docker writes for published ports, its networks and containers')
    .option(
      '-p, --publish <spec>',
      'publish a port: [IP:][HOST:]CONTAINER[/tcp|udp|sctp] (may be repeated)',
      word('publish'),
    )
    .option(
      '--container <name[=ip][@network]>',
      'a container, for the -p behind it (may be repeated)',
      word('container'),
    )
    .option(
      '--network <name[=subnet][,...]>',
      'a bridge network: back=172.20.0.0/16,internal (may be repeated)',
      collect,
      [],
    )
    .option('-f, --compose <file>', 'a compose file (may be repeated); - is standard input', collect, [])
    .option('--project <name>', "the compose project's name, of which its networks have theirs")
    .option('--inspect <file...>', 'what docker network inspect and docker inspect print', [])
    .addOption(
      new Option('--style <version>', 'as Docker writes them: 20 to 27 (classic), 28 and later')
        .choices(['classic', '28'])
        .default('classic'),
    )
    .option('--bip <address/length>', 'the address of docker0', '172.17.0.1/16')
    .option('--fixed-cidr-v6 <subnet>', 'the IPv6 subnet of docker0, which has none without')
    .option('--ip <address>', 'where ports are published that do not say')
    .option('--icc <boolean>', 'containers on docker0 may talk to each other', yesOrNo, true)
    .option('--ip-masq <boolean>', 'masquerade what leaves docker0', yesOrNo, true)
    .option('--userland-proxy <boolean>', 'docker-proxy carries what the rules do not', yesOrNo, true)
    .option('--allow-direct-routing', "style 28: let others reach the containers' own addresses", false)
    .addOption(
      new Option('--forward-policy <policy>', 'of FORWARD; Docker makes it drop where it switches forwarding on')
        .choices(['drop', 'accept'])
        .default('drop'),
    )
    .option(
      '--iface <name=addresses>',
      'an interface of the host, eth0=192.0.2.1/24 by default (may be repeated)',
      collect,
      [],
    )
    .option(
      '--route <dest=gateway@iface>',
      'a route, default=192.0.2.254@eth0 by default (may be repeated)',
      collect,
      [],
    )
    .option('-6, --ipv6', 'print the IPv6 rules')
    .option('-o, --output <file>', 'where the rules go; - is standard output', '-')
    .option('--out6 <file>', 'where the IPv6 rules go')
    .option('--host-out <file>', 'the host that goes with them, for replay --host')
    .action(async (options: RulesDockerOptions) => {
      const { writeDockerRules } = await import('./rules-docker-write.js');
      await writeDockerRules(words, options);
    });
}

function yesOrNo(text: string): boolean {
  if (/^(true|false)$/i.test(text)) return text.toLowerCase() === 'true';
  throw new InvalidArgumentError('It must be true or false.');
}
