/**
 * Sockets of a server that read into a buffer of ours. Node has that for sockets that it connects (`onread` of `net.Socket`, documented),
 * and no way to ask a server for it; its own way costs an allocation of 64 KiB, a shrink of it and an event of a stream for each read.
 */
import {Socket, type OnReadOpts} from 'node:net';

/** What `server.listen(handle)` of Node's documentation calls the underlying `_handle` of a socket. */
interface Handled {
  _handle: object | null;
}

/**
 * Takes the connection of a socket that has not been read (`pauseOnConnect`) over into a new one. The old one is empty afterwards.
 * Throws where Node's sockets are not what they were: the tests of every cleartext listener then fail.
 */
export function adoptSocket(accepted: Socket, onread: OnReadOpts): Socket {
  const emptied = accepted as unknown as Handled, handle = emptied._handle;
  if (typeof handle !== 'object' || handle === null) throw new Error('the accepted socket has no handle');
  emptied._handle = null;
  const options: object = {handle, onread, readable: true, writable: true, allowHalfOpen: false};
  return new Socket(options);
}
