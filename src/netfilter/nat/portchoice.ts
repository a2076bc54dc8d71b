/**
 * The one choice in NAT that the kernel leaves to chance: where the search for a free port begins (KERNEL.md B2,
 * `--random`, `--random-fully`). Whoever knows which port a real host took, because he saw the translated packet, says so
 * here, and everything else follows from it.
 *
 *     class FromCapture implements PortChooser {
 *       choose({ mapping }) { return portSeenGoingOut(mapping.source, mapping.destination, mapping.destinationPort); }
 *     }
 */
import type { Tuple } from '../../packet/tuple.js';

/** A port (for ICMP the id) that has to be found for a new connection. The object is only good during the call. */
export interface PortChoice {
  /** `src`: the mapping's source port is looked for; `dst`: its destination port. */
  readonly manipulation: 'src' | 'dst';
  /** The connection's first packet as it came in. */
  readonly original: Readonly<Tuple>;
  /**
   * The same as it will leave, in the original direction: the addresses are settled, and so is the other port as far as
   * it is at this point (DNAT comes before SNAT). The port looked for is still the connection's own.
   */
  readonly mapping: Readonly<Tuple>;
  /** Ports that the rule, or the class of the own port, permits: `count` of them from `first` on. */
  readonly first: number;
  readonly count: number;
}

/** Why a port was not taken: outside `first` to `first + count - 1`, or its tuple belongs to another connection. */
export type PortRefusal = 'range' | 'taken';

export interface PortChooser {
  /**
   * The port that the real host took; undefined when that is not known: then the engine's own random numbers decide.
   * Asked only where chance has a say, so never for a port that is free as it is.
   */
  choose(choice: PortChoice): number | undefined;
  /**
   * The source port that the real host gave the connection, where these rules have settled on `mapping` and that is not
   * it: there, something that the captures do not show had the port. Undefined, or a port that is taken: it stays.
   */
  overrule?(choice: PortChoice): number | undefined;
  /**
   * Whether the real host let nothing out of the packet at hand. A destination port that it drew for it was never seen
   * then: any of those permitted may have been it, and one with which these rules let nothing out either is preferred.
   */
  dropped?(): boolean;
  /** A port that `choose` gave cannot be what a kernel with these rules took. The engine's random numbers decide. */
  refused?(choice: PortChoice, port: number, why: PortRefusal): void;
}
