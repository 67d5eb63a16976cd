import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {after, test} from 'node:test';
import {fileSource} from '#src/control/file-source.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'torwart-files-'));
after(() => rmSync(folder, {recursive: true}));

function write(name: string, content: string | Uint8Array): string {
  const file = path.join(folder, name);
  mkdirSync(path.dirname(file), {recursive: true});
  writeFileSync(file, content);
  return file;
}

test('a file is read up to its limit and not one byte more', async () => {
  assert.deepEqual(await fileSource.readText(write('ten', '0123456789'), 10), {ok: true, text: '0123456789'});
  assert.deepEqual(await fileSource.readText(write('eleven', '0123456789a'), 10), {ok: false, reason: 'a file of more than 10 bytes'});
  assert.deepEqual(await fileSource.readText(write('none', ''), 10), {ok: true, text: ''});
});

test('what cannot be read has a reason in words', async () => {
  symlinkSync('loop', path.join(folder, 'loop'));
  execFileSync('mkfifo', [path.join(folder, 'pipe')]);
  const reasons = {
    absent: 'a file that does not exist',
    'ten/below': 'a path through something that is not a directory',
    '.': 'a directory',
    loop: 'a symbolic link that leads nowhere',
    pipe: 'something that is not a regular file',
  };
  for (const [name, reason] of Object.entries(reasons)) assert.deepEqual(await fileSource.readText(path.join(folder, name), 100), {ok: false, reason}, name);
  assert.deepEqual(await fileSource.readText(write('latin1', Uint8Array.of(0x61, 0xfc)), 100), {ok: false, reason: 'a file that is not UTF-8 text'});
});

test('a pattern finds files in order, without hidden ones such as those of editors', async () => {
  for (const name of ['b.yaml', 'a.yaml', '.a.yaml', '.#b.yaml', 'c.txt', 'sub/d.yaml']) write(`glob/${name}`, '');
  assert.deepEqual(await fileSource.glob('glob/*.yaml', folder), ['a.yaml', 'b.yaml'].map((name) => path.join(folder, 'glob', name)));
  assert.deepEqual(await fileSource.glob('nowhere/*.yaml', folder), []);
  assert.deepEqual(await fileSource.glob(path.join(folder, 'glob/sub/*'), '/'), [path.join(folder, 'glob/sub/d.yaml')]);
});
