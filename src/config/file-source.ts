/** How the configuration reaches files: `src/config` itself does no I/O, so that it can be tested and fuzzed on texts. */

export type ReadResult =
  | {
      readonly ok: true;
      readonly text: string;
      /** What tells this version of the file from every other; null where nothing does. Only the source that made it reads it. */
      readonly stamp: FileStamp | null;
    }
  /** `reason` in words, such as `a file that does not exist`. */
  | {readonly ok: false; readonly reason: string};

/** A file's place and times, in the units of `stat`. */
export interface FileStamp {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

export interface FileSource {
  /**
   * A whole file as UTF-8. Never throws; a file of more than `bytesMax` is refused without being read. `before` is what an earlier call
   * gave for the same file: it is given again where the file is certain to be the same.
   */
  readText(file: string, bytesMax: number, before?: ReadResult): Promise<ReadResult>;
  /** Whether the file is certain to be the same as when it was read, without reading it. Never throws. */
  isKnown(file: string, before: ReadResult): boolean;
  /** Absolute paths of the files that match the pattern, relative to the directory, in ascending order; hidden files are left out. Throws where it cannot look. */
  glob(pattern: string, directory: string): Promise<readonly string[]>;
}

/** Whether both stand for the same content, or for the same reason that there is none. */
export function isSameContent(a: ReadResult, b: ReadResult): boolean {
  return a.ok ? b.ok && a.text === b.text : !b.ok && a.reason === b.reason;
}
