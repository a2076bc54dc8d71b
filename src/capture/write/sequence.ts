/** Does one thing after the other; after a failure nothing more, but fail the same way. */
export class Sequence {
  private last: Promise<void> = Promise.resolve();

  run(task: () => Promise<void>): Promise<void> {
    const done = this.last.then(task);
    this.last = done;
    // Whoever asked hears of the failure; that the next one will too is no reason to end the process.
    done.catch(() => {});
    return done;
  }

  /** Waits for what is under way, failed or not. */
  settled(): Promise<void> {
    return this.last.catch(() => {});
  }
}
