import {readFileSync} from 'node:fs';

/** The soft limit of this process on open file descriptors (RLIMIT_NOFILE); `Infinity` where the system does not tell. */
export function readDescriptorLimit(path = '/proc/self/limits'): number {
  try {
    const soft = /^Max open files\s+(\d+)\s/m.exec(readFileSync(path, 'utf8'))?.[1];
    return soft === undefined ? Infinity : Number(soft);
  } catch {
    return Infinity;
  }
}
