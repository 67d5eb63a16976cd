/** A listener offers HTTP/2 as long as its configuration says so. */
import assert from 'node:assert/strict';
import {connect, type TLSSocket} from 'node:tls';
import {once} from 'node:events';
import {test} from 'node:test';
import {generate} from 'selfsigned';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {HTTPS, acme, certificate} from '#test/support/snapshots.ts';

async function negotiate(port: number): Promise<string | false | null> {
  const socket: TLSSocket = connect({port, host: '127.0.0.1', servername: 'acme.test', rejectUnauthorized: false, ALPNProtocols: ['h2', 'http/1.1']});
  await once(socket, 'secureConnect');
  const {alpnProtocol} = socket;
  socket.destroy();
  return alpnProtocol;
}

test('HTTP/2 can be switched off and on for new connections', async (context) => {
  const pair = await generate([{name: 'commonName', value: 'acme.test'}], {keyType: 'ec', extensions: [{name: 'subjectAltName', altNames: [{type: 2, value: 'acme.test'}]}]});
  const customer = {...acme([1]), certificates: [certificate({cert: pair.cert, key: pair.private}, ['acme.test'])]};
  const proxy = await ProxyHarness.start(context, {node: {listeners: [HTTPS]}, customers: [customer]});
  const port = proxy.ports['https'] ?? 0;
  assert.equal(await negotiate(port), 'h2');
  await proxy.reload({node: {...proxy.node, listeners: [{...HTTPS, http2: false}]}});
  assert.equal(await negotiate(port), 'http/1.1');
  await proxy.reload({node: {...proxy.node, listeners: [HTTPS]}});
  assert.equal(await negotiate(port), 'h2');
});
