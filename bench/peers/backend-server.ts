/** The application where nginx is not installed. Arguments: directory of `files/`, port, the small body, the addresses to listen on. */
import {createReadStream, statSync} from 'node:fs';
import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';
import {basename, join} from 'node:path';

const [directory = '.', port = '0', body = '', ...addresses] = process.argv.slice(2);

function sendFile(response: ServerResponse, path: string, chunked: boolean): void {
  const file = join(directory, 'files', basename(path));
  if (!chunked) response.setHeader('content-length', statSync(file).size);
  createReadStream(file, {highWaterMark: chunked ? 4096 : 65_536}).pipe(response);
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  const path = request.url ?? '/';
  if (path.startsWith('/files/') || path.startsWith('/chunked/')) sendFile(response, path, path.startsWith('/chunked/'));
  else request.once('end', () => response.setHeader('content-type', 'application/json').end(body));
}

for (const address of addresses) {
  createServer({keepAliveTimeout: 600_000}, answer).listen(Number(port), address, 4096);
}
