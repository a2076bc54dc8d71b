/** `natreplay compare`: two results of bench, and whether the new one is slower, or different. */
import { Command, Option } from 'commander';
import { limit } from './numbers.js';

export interface CompareCliOptions {
  readonly maxRegression?: number;
  readonly format: 'text' | 'json' | 'markdown' | 'junit' | 'github';
}

export function compareCommand(): Command {
  return new Command('compare')
    .description('whether a measurement is slower than another, or of something different, and how sure that is')
    .argument('<base>', 'what bench --json wrote')
    .argument('<new>', 'what bench --json wrote later')
    .option('--max-regression <percent>', 'exit code 1 when times are surely longer by more than this', limit)
    .addOption(
      new Option('--format <which>', 'text, JSON, Markdown, JUnit XML, or annotations for GitHub Actions')
        .choices(['text', 'json', 'markdown', 'junit', 'github'])
        .default('text'),
    )
    .action(async (base: string, now: string, options: CompareCliOptions) => {
      const { compare } = await import('./compare-run.js');
      await compare(base, now, options);
    });
}
