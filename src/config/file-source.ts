/** How the configuration reaches files: `src/config` itself does no I/O, so that it can be tested and fuzzed on texts. */

export type ReadResult =
  | {readonly ok: true; readonly text: string}
  /** `reason` in words, such as `a file that does not exist`. */
  | {readonly ok: false; readonly reason: string};

export interface FileSource {
  /** A whole file as UTF-8. Never throws; a file of more than `bytesMax` is refused without being read. */
  readText(file: string, bytesMax: number): Promise<ReadResult>;
  /** Absolute paths of the files that match the pattern, relative to the directory, in a fixed order; hidden files are left out. Throws where it cannot look. */
  glob(pattern: string, directory: string): Promise<readonly string[]>;
}
