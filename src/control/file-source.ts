/** The configuration's way to real files. */
import {constants} from 'node:fs';
import {glob, open} from 'node:fs/promises';
import path from 'node:path';
import type {FileSource, ReadResult} from '#src/config/file-source.ts';

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'a file that does not exist',
  ENOTDIR: 'a path through something that is not a directory',
  EACCES: 'a file that this user may not read',
  EPERM: 'a file that this user may not read',
  EISDIR: 'a directory',
  ELOOP: 'a symbolic link that leads nowhere',
};

export const fileSource: FileSource = {
  async readText(file, bytesMax) {
    try {
      return await readWhole(file, bytesMax);
    } catch (error) {
      if (error instanceof TypeError) return {ok: false, reason: 'a file that is not UTF-8 text'};
      const code = error instanceof Error && 'code' in error ? String(error.code) : '';
      return {ok: false, reason: REASONS[code] ?? `a file that cannot be read (${code === '' ? 'unknown error' : code})`};
    }
  },

  async glob(pattern, directory) {
    const files = await Array.fromAsync(glob(pattern, {cwd: directory}));
    const visible = files.filter((file) => !path.basename(file).startsWith('.'));
    return visible.map((file) => path.resolve(directory, file)).sort();
  },
};

/** Without blocking on a pipe, and never more than allowed even if the file grows meanwhile. */
async function readWhole(file: string, bytesMax: number): Promise<ReadResult> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = await handle.stat();
    if (stat.isDirectory()) return {ok: false, reason: 'a directory'};
    if (!stat.isFile()) return {ok: false, reason: 'something that is not a regular file'};
    // One byte more than the file had shows that it grew.
    const buffer = new Uint8Array(Math.min(stat.size, bytesMax) + 1);
    let length = 0;
    while (length < buffer.length) {
      const {bytesRead} = await handle.read(buffer, length, buffer.length - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    if (stat.size > bytesMax) return {ok: false, reason: `a file of more than ${bytesMax} bytes`};
    if (length !== stat.size) return {ok: false, reason: 'a file that was being written'};
    return {ok: true, text: new TextDecoder('utf-8', {fatal: true}).decode(buffer.subarray(0, length))};
  } finally {
    await handle.close();
  }
}
