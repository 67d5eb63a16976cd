/** The access log's file and pipe: what is lost is counted, and no line is torn by what comes after it. */
import assert from 'node:assert/strict';
import {existsSync, mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {test} from 'node:test';
import {AccessLog} from '#src/observe/access-log.ts';

interface Events {
  dropped: number;
  errors: string[];
}

function open(file: string): {log: AccessLog; events: Events} {
  const events: Events = {dropped: 0, errors: []};
  const log = new AccessLog(file, {onDropped: (lines) => { events.dropped += lines; }, onError: (message) => { events.errors.push(message); }});
  return {log, events};
}

function end(log: AccessLog): Promise<void> {
  return new Promise((resolve) => { log.end(resolve); });
}

test('every line is written, in its order', async (context) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'torwart-log-'));
  context.after(() => rmSync(folder, {recursive: true}));
  const {log, events} = open(path.join(folder, 'access.log'));
  const lines = Array.from({length: 5000}, (_, number) => `{"number":${number}}\n`);
  for (const line of lines) log.append(line);
  await end(log);
  assert.equal(readFileSync(path.join(folder, 'access.log'), 'utf8'), lines.join(''));
  assert.deepEqual(events, {dropped: 0, errors: []});
});

test('a full disk costs lines, each of which is counted, and is told once', {skip: existsSync('/dev/full') ? false : 'this system has no /dev/full'}, async () => {
  const {log, events} = open('/dev/full');
  await new Promise((resolve) => { setImmediate(resolve); });
  for (let i = 0; i < 3; i++) log.append(`{"number":${i}}\n`);
  await end(log);
  assert.equal(events.dropped, 3);
  assert.equal(events.errors.length, 1);
  assert.match(events.errors[0] ?? '', /ENOSPC/);
});
