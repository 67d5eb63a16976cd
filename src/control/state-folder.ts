/** How files get into the state folder: a crash at any moment leaves the file of before or the file of after, never a part. */
import {constants} from 'node:fs';
import {open, rename, writeFile} from 'node:fs/promises';

export const STATE_FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
const WRITE_THROUGH = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_SYNC;

/** A new file takes the old one's place when it is safely on disk (O_SYNC and not fsync(2), which Node forbids under its permission model). */
export async function replaceFile(file: string, text: string): Promise<void> {
  const next = `${file}.next`;
  await writeFile(next, text, {mode: FILE_MODE, flag: WRITE_THROUGH});
  await rename(next, file);
}

/**
 * The folder knows of its new files when this resolves. Under Node's permission model it cannot be done: then a power failure within
 * seconds may bring the file of before back, and nothing worse.
 */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } catch (error) {
    if (!hasCode(error, 'ERR_ACCESS_DENIED')) throw error;
  } finally {
    await handle.close();
  }
}

export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
