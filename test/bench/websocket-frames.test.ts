import assert from 'node:assert/strict';
import {describe, it} from 'node:test';
import {acceptKey, clientFrameBytes, CLIENT_HEAD_BYTES, echoFrame, frameFromClient, frameFromServer} from '../../bench/load/websocket-frames.ts';

const PAYLOAD = Buffer.from('x'.repeat(127) + 'y'), MASK = Buffer.from([1, 2, 3, 4]);

describe('the WebSocket frames of the bench', () => {
  it('are masked by clients and not by servers', () => {
    const frame = frameFromClient(PAYLOAD, MASK);
    assert.deepEqual([...frame.subarray(0, CLIENT_HEAD_BYTES)], [0x82, 0xfe, 0, 128, 1, 2, 3, 4]);
    assert.equal(frame[CLIENT_HEAD_BYTES], 'x'.charCodeAt(0) ^ 1);
    assert.deepEqual([...frameFromServer(PAYLOAD).subarray(0, 4)], [0x82, 0x7e, 0, 128]);
  });

  it('are echoed whole, wherever the network cut them', () => {
    const two = Buffer.concat([frameFromClient(PAYLOAD, MASK), frameFromClient(PAYLOAD, MASK)]), length = two.length / 2;
    for (let end = 0; end < length; end++) assert.equal(clientFrameBytes(two.subarray(0, end), 0), 0);
    assert.equal(clientFrameBytes(two, 0), length);
    assert.equal(clientFrameBytes(two, length), length);
    assert.deepEqual(echoFrame(two, length, two.length), frameFromServer(PAYLOAD));
  });

  it('are of one kind', () => {
    assert.throws(() => clientFrameBytes(Buffer.from([0x81, 0x80, 0, 0, 0, 0, 0, 0]), 0), /not a frame/);
  });

  it('follow a handshake with the answer of RFC 6455 §1.3', () => {
    assert.equal(acceptKey('dGhlIHNhbXBsZSBub25jZQ=='), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
  });
});
