/** The stages of HTTP/2 that HTTP/1.1 does not have, over the same request and response as `stages.ts`. */
import {RequestHead} from '#src/http1/request-head.ts';
import {DynamicTable} from '#src/http2/dynamic-table.ts';
import {FrameReader, type FrameSink} from '#src/http2/frame-reader.ts';
import {FLAG, FRAME} from '#src/http2/frames.ts';
import {HpackDecoder, makeHuffmanScratch} from '#src/http2/hpack-decoder.ts';
import {encodedBytesMax, HpackEncoder} from '#src/http2/hpack-encoder.ts';
import {encodeHuffman, huffmanEncodedBytes} from '#src/http2/huffman.ts';
import {OutputBuffer, SlabPool} from '#src/http2/output-buffer.ts';
import {RequestAssembler} from '#src/http2/request-assembler.ts';
import {DYNAMIC_INDEX_MIN} from '#src/http2/static-table.ts';
import type {Stage} from './stages.ts';

/** What a browser says in every request of a connection; it indexes these, and sends the path as a literal. */
const REPEATED: readonly (readonly [string, string])[] = [
  [':method', 'GET'], [':scheme', 'https'], [':authority', 'h5000.bench.example'],
  ['user-agent', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'],
  ['accept', 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'], ['accept-language', 'en-US,en;q=0.5'],
  ['accept-encoding', 'gzip, deflate, br, zstd'], ['referer', 'https://h5000.bench.example/shop/'], ['cookie', 'session=4d6f2a8e9b1c'],
  ['cookie', 'theme=dark'], ['sec-fetch-dest', 'document'], ['sec-fetch-mode', 'navigate'], ['sec-fetch-site', 'same-origin'],
];
const TARGET = '/shop/articles/4711?sort=price&page=2';
/** Of the static table (RFC 7541 appendix A). */
const PATH_INDEX = 4;

const RESPONSE_LINES = [
  'content-type: application/json; charset=utf-8', 'cache-control: no-store', 'vary: accept-encoding', 'date: Mon, 01 Jun 2026 12:00:00 GMT',
  'strict-transport-security: max-age=31536000', 'x-content-type-options: nosniff', 'x-frame-options: SAMEORIGIN',
  'referrer-policy: strict-origin-when-cross-origin', 'content-length: ',
].join('\r\n');
const CONTENT_LENGTH = 126;

function literal(text: string): Buffer {
  const code = Buffer.alloc(huffmanEncodedBytes(text));
  encodeHuffman(text, code, 0);
  return Buffer.concat([Buffer.from([0x80 | code.length]), code]);
}

/** The block of a connection's first request, which fills the table, and that of all later ones. */
function makeBlocks(): {first: Buffer; later: Buffer} {
  const path = Buffer.concat([Buffer.from([PATH_INDEX]), literal(TARGET)]);
  const pseudo = REPEATED.filter(([name]) => name.startsWith(':')).length;
  const added = REPEATED.map(([name, value]) => Buffer.concat([Buffer.from([0x40]), literal(name), literal(value)]));
  const indexed = REPEATED.map((_, i) => Buffer.from([0x80 | (DYNAMIC_INDEX_MIN + REPEATED.length - 1 - i)]));
  const withPath = (fields: readonly Buffer[]): Buffer => Buffer.concat([...fields.slice(0, pseudo), path, ...fields.slice(pseudo)]);
  return {first: withPath(added), later: withPath(indexed)};
}

function readFramesStage(): Stage {
  const {later} = makeBlocks(), frames = 64;
  const frame = Buffer.concat([Buffer.from([0, 0, later.length, FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, 0, 0, 0, 1]), later]);
  const bytes = Buffer.concat(Array.from({length: frames}, () => frame));
  let seen = 0;
  const sink: FrameSink = {
    isReading: true,
    onFrame: (_type, _flags, streamId) => { seen += streamId; },
    onDataStart: () => undefined, onDataContent: () => undefined, onDataEnd: () => undefined,
    onUnreadable: () => { throw new Error('the frames of the bench are valid'); },
  };
  const reader = new FrameReader(sink, false);
  return {
    name: 'HTTP/2: read a frame', operations: 64_000,
    run: operations => {
      for (let i = 0; i < operations; i += frames) reader.read(bytes);
      return seen;
    },
  };
}

function decodeStage(): Stage {
  const decoder = new HpackDecoder(makeHuffmanScratch(), new DynamicTable()), assembler = new RequestAssembler(new RequestHead());
  const {first, later} = makeBlocks();
  const decode = (block: Buffer): number => {
    assembler.begin('https', false);
    if (decoder.decode(block, 0, block.length, assembler) !== 'complete' || assembler.finish(true) !== 'good') throw new Error('the block of the bench is valid');
    return assembler.head.target.length;
  };
  decode(first);
  return {
    name: `HTTP/2: decode and check a request's fields (${later.length} bytes for ${REPEATED.length + 1})`, operations: 50_000,
    run: operations => {
      let sum = 0;
      for (let i = 0; i < operations; i++) sum += decode(later);
      return sum;
    },
  };
}

/** @param lengths of content, different ones that follow each other: with one, the connection is sent the same head again and again */
function encodeStage(name: string, lengths: number): Stage {
  const encoder = new HpackEncoder(), output = new OutputBuffer(new SlabPool());
  return {
    name, operations: 50_000,
    run: operations => {
      let sum = 0;
      for (let i = 0; i < operations; i++) {
        // Put together for each response, as in the proxy.
        const lines = `${RESPONSE_LINES}${CONTENT_LENGTH + i % lengths}\r\n`;
        output.reserve(encodedBytesMax(lines.length));
        encoder.encode(output, 200, lines);
        // As many leave together as one turn of the loop has.
        if ((i & 15) !== 15) continue;
        sum += output.take()?.length ?? 0;
        output.onWritten();
      }
      return sum;
    },
  };
}

function writeDataStage(): Stage {
  const output = new OutputBuffer(new SlabPool()), content = Buffer.alloc(126, 'x');
  return {
    name: 'HTTP/2: write a small DATA frame', operations: 100_000,
    run: operations => {
      let sum = 0;
      for (let i = 0; i < operations; i++) {
        output.writeFrameHeader(content.length, FRAME.DATA, FLAG.END_STREAM, 1);
        output.writeBytes(content);
        if ((i & 15) !== 15) continue;
        sum += output.take()?.length ?? 0;
        output.onWritten();
      }
      return sum;
    },
  };
}

export function createHttp2Stages(): readonly Stage[] {
  return [
    readFramesStage(), decodeStage(), encodeStage('HTTP/2: encode the fields of a response, other ones than the last', 2),
    encodeStage('HTTP/2: encode the fields of a response, the same as the last', 1),
    writeDataStage(),
  ];
}
