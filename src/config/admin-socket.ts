/** Where the daemon's admin socket is: known to the daemon and to the commands that talk to it. */
import path from 'node:path';
import {parseConfigDocument} from '#src/config/document.ts';
import {valueAt} from '#src/config/issues.ts';
import {readText, scalar} from '#src/config/scalars.ts';

/** What fits into the `sun_path` of Linux with its terminating zero (unix(7)); a longer one would be cut and bound elsewhere. */
export const SOCKET_PATH_BYTES_MAX = 107;

export const adminSocketPath = scalar({
  type: 'path',
  allowed: `the path of a socket, at most ${SOCKET_PATH_BYTES_MAX} bytes`,
  remedy: 'write an absolute path such as /run/torwart/admin.sock, or one relative to this file',
  json: {type: 'string', minLength: 1},
  read: readText((text) => (text !== '' && Buffer.byteLength(text) <= SOCKET_PATH_BYTES_MAX && !text.includes('\0') ? text : null)),
});

/**
 * The absolute path that a node file gives, null without one. Nothing else of the file is looked at: while somebody is mending a broken
 * configuration, the daemon that runs must still be within reach.
 */
export function findAdminSocket(nodeFile: string, text: string): string | null {
  const written = adminSocketPath.safeParse(valueAt(parseConfigDocument(nodeFile, text).value, ['admin_socket']));
  return written.success ? path.resolve(path.dirname(nodeFile), written.data) : null;
}
