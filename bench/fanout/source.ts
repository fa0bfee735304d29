/** The value that is written: 100 bytes, of which the first ten are the number of the write. */
export const valueBytes = 100;
const numberBytes = 10;

export function valueOf(number: number): string {
  return String(number).padStart(numberBytes, "0").padEnd(valueBytes, "x");
}

export function numberOf(value: string): number {
  return Number(value.slice(0, numberBytes));
}

/** The side that writes; it lives in the bench's own process. */
export interface Source {
  /** What a watcher needs to find it. */
  readonly place: string;
  /** Writes one value; resolves with the number under which watchers tell of it. */
  write(number: number): Promise<number>;
  close(): Promise<void> | void;
}

/** Opens one watcher with a connection of its own; `told` is called for every write that it hears of, with its number. */
export type OpenWatcher = (place: string, told: (number: number) => void) => Promise<void>;
