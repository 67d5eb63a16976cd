/** The configuration's way to real files. */
import {type BigIntStats, closeSync, constants, fstatSync, openSync, readdirSync, readSync, statSync} from 'node:fs';
import {glob} from 'node:fs/promises';
import path from 'node:path';
import {setImmediate} from 'node:timers/promises';
import {isSameContent, type FileSource, type FileStamp, type ReadResult} from '#src/config/file-source.ts';

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'a file that does not exist',
  ENOTDIR: 'a path through something that is not a directory',
  EACCES: 'a file that this user may not read',
  EPERM: 'a file that this user may not read',
  EISDIR: 'a directory',
  ELOOP: 'a symbolic link that leads nowhere',
};

/**
 * Times of files tick: every 4 ms on Linux, every 2 s on FAT. Of two changes within one tick the second leaves no trace, so a file is
 * known by its times only if it had been left alone for longer than that when it was read (Git calls the others "racily clean").
 */
const TICK_MS_MAX = 3_000;

/**
 * Calls that block, on purpose: they cost half of what the asynchronous ones do, and those would take turns with the access log of the
 * proxy threads, because a process has one thread pool.
 *
 * @param nowMs Unix time, by the clock that gives files their times
 */
export function createFileSource(nowMs: () => number): FileSource {
  return {
    isKnown,

    async readText(file, bytesMax, before) {
      try {
        if (before !== undefined && isKnown(file, before)) return before;
        const read = readWhole(file, bytesMax, nowMs());
        // A new text is parsed next, and ten thousand of them take seconds: whatever waits in this thread comes first.
        if (before === undefined || !isSameContent(before, read)) await setImmediate();
        return read;
      } catch (error) {
        if (error instanceof TypeError) return {ok: false, reason: 'a file that is not UTF-8 text'};
        const code = error instanceof Error && 'code' in error ? String(error.code) : '';
        return {ok: false, reason: REASONS[code] ?? `a file that cannot be read (${code === '' ? 'unknown error' : code})`};
      }
    },

    async glob(pattern, directory) {
      if (FILES_OF_ONE_FOLDER.test(pattern)) return listFolder(path.resolve(directory, path.dirname(pattern)), path.basename(pattern));
      const files = await Array.fromAsync(glob(pattern, {cwd: directory}));
      return files.filter((file) => !isHidden(path.basename(file))).map((file) => path.resolve(directory, file)).sort();
    },
  };
}

export const fileSource = createFileSource(() => Date.now());

/** What nearly every pattern is: a folder without wildcards, and a `*` in the last part only. */
const FILES_OF_ONE_FOLDER = /^(?:[\w./-]*\/)?[\w.-]*\*[\w.-]*$/;

/** The same as `glob`, which takes five times as long over a folder of ten thousand files. */
function listFolder(folder: string, pattern: string): readonly string[] {
  const [start = '', end = ''] = pattern.split('*');
  try {
    const names = readdirSync(folder).filter((name) => name.length >= start.length + end.length && name.startsWith(start) && name.endsWith(end) && !isHidden(name));
    const prefix = folder.endsWith('/') ? folder : `${folder}/`;
    return names.sort().map((name) => prefix + name);
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return [];
    throw error;
  }
}

function isHidden(name: string): boolean {
  return name.startsWith('.');
}

/** Without blocking on a pipe, and never more than allowed even if the file grows meanwhile. */
function readWhole(file: string, bytesMax: number, nowMs: number): ReadResult {
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(descriptor, {bigint: true});
    if (stat.isDirectory()) return {ok: false, reason: 'a directory'};
    if (!stat.isFile()) return {ok: false, reason: 'something that is not a regular file'};
    const size = Number(stat.size);
    if (size > bytesMax) return {ok: false, reason: `a file of more than ${bytesMax} bytes`};
    // One byte more than the file had shows that it grew.
    const buffer = new Uint8Array(size + 1);
    let length = 0;
    while (length < buffer.length) {
      const bytesRead = readSync(descriptor, buffer, length, buffer.length - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    if (length !== size) return {ok: false, reason: 'a file that was being written'};
    return {ok: true, text: new TextDecoder('utf-8', {fatal: true}).decode(buffer.subarray(0, length)), stamp: stampOf(stat, nowMs)};
  } finally {
    closeSync(descriptor);
  }
}

function stampOf({dev, ino, size, mtimeNs, ctimeNs, ctimeMs}: BigIntStats, nowMs: number): FileStamp | null {
  // A time in the future means that a clock was set: it says nothing either.
  return nowMs - Number(ctimeMs) > TICK_MS_MAX ? {dev, ino, size, mtimeNs, ctimeNs} : null;
}

function isKnown(file: string, before: ReadResult): boolean {
  if (!before.ok || before.stamp === null) return false;
  try {
    return isSameStamp(before.stamp, statSync(file, {bigint: true}));
  } catch {
    return false;
  }
}

/** The change time is the one that nobody can set, and that a renamed or restored file gets anew. */
function isSameStamp(a: FileStamp, b: FileStamp): boolean {
  return a.ctimeNs === b.ctimeNs && a.mtimeNs === b.mtimeNs && a.size === b.size && a.ino === b.ino && a.dev === b.dev;
}
