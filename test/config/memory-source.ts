import path from 'node:path';
import type {FileSource} from '#src/config/file-source.ts';

/** Files that exist only as texts, by absolute path. */
export function createMemorySource(files: ReadonlyMap<string, string>): FileSource {
  return {
    isKnown: () => false,
    async readText(file, bytesMax) {
      const text = files.get(file);
      if (text === undefined) return {ok: false, reason: 'a file that does not exist'};
      return text.length > bytesMax ? {ok: false, reason: `a file of more than ${bytesMax} bytes`} : {ok: true, text, stamp: null};
    },
    async glob(pattern, directory) {
      const absolute = path.resolve(directory, pattern);
      return [...files.keys()].filter((file) => path.matchesGlob(file, absolute)).sort();
    },
  };
}
