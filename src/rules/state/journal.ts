/**
 * What stateful matches changed for the packet in hand, so that it can be undone: a search for a port that nobody saw
 * (CompileContext.savers) sends a packet through the rules again and again. Only the last packet's changes are kept.
 */
import type { PacketContext } from '../context.js';

export class Journal {
  /** False where nothing ever goes back: then nothing is noted. */
  active = false;
  private undo: (() => void)[] = [];
  private seconds = -1;
  private nanoseconds = -1;

  /** Notes how to take back a change that the packet makes. To be asked for only where `active`. */
  note({ seconds, nanoseconds }: PacketContext, undo: () => void): void {
    if (seconds !== this.seconds || nanoseconds !== this.nanoseconds) {
      this.undo.length = 0;
      this.seconds = seconds;
      this.nanoseconds = nanoseconds;
    }
    this.undo.push(undo);
  }

  /** As a StateSaver: from here on, what is noted can be taken back, as often as needed. */
  save(): () => void {
    this.active = true;
    this.undo.length = 0;
    return () => {
      for (let step = this.undo.pop(); step !== undefined; step = this.undo.pop()) step();
    };
  }
}
