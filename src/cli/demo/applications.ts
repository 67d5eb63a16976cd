/**
 * The demo customers' application servers. They run as a worker thread: their work must not delay the control thread. Answers are
 * JSON that says who answered and what arrived, so that one sees what the ingress did to the request.
 */
import {once} from 'node:events';
import http from 'node:http';
import {parentPort, workerData} from 'node:worker_threads';

export interface DemoApplication {
  readonly customer: string;
  readonly address: string;
  readonly port: number;
}

/** `workerData` of this worker. */
export interface ApplicationsStart {
  readonly applications: readonly DemoApplication[];
}

export type ApplicationsMessage = {readonly type: 'ready'} | {readonly type: 'failed'; readonly error: string};

async function serve(application: DemoApplication): Promise<void> {
  const server = http.createServer((request, response) => {
    request.resume();
    const body = request.url === '/healthz' ? {healthy: true} : {...application, method: request.method, url: request.url, headers: request.headers};
    response.writeHead(200, {'content-type': 'application/json'}).end(`${JSON.stringify(body, null, 2)}\n`);
  });
  server.listen(application.port, application.address);
  await once(server, 'listening');
}

const {applications} = workerData as ApplicationsStart;
try {
  await Promise.all(applications.map(serve));
  parentPort?.postMessage({type: 'ready'} satisfies ApplicationsMessage);
} catch (error) {
  parentPort?.postMessage({type: 'failed', error: error instanceof Error ? error.message : String(error)} satisfies ApplicationsMessage);
}
