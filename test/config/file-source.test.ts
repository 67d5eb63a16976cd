import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, renameSync, rmSync, statSync, symlinkSync, unlinkSync, utimesSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {after, test} from 'node:test';
import {createFileSource, fileSource} from '#src/control/file-source.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'torwart-files-'));
after(() => rmSync(folder, {recursive: true}));

function write(name: string, content: string | Uint8Array): string {
  const file = path.join(folder, name);
  mkdirSync(path.dirname(file), {recursive: true});
  writeFileSync(file, content);
  return file;
}

test('a file is read up to its limit and not one byte more', async () => {
  assert.deepEqual(await fileSource.readText(write('ten', '0123456789'), 10), {ok: true, text: '0123456789', stamp: null});
  assert.deepEqual(await fileSource.readText(write('eleven', '0123456789a'), 10), {ok: false, reason: 'a file of more than 10 bytes'});
  assert.deepEqual(await fileSource.readText(write('none', ''), 10), {ok: true, text: '', stamp: null});
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
  const relative = async (pattern: string): Promise<readonly string[]> => (await fileSource.glob(pattern, folder)).map((file) => path.relative(folder, file));
  assert.deepEqual(await fileSource.glob('glob/*.yaml', folder), ['a.yaml', 'b.yaml'].map((name) => path.join(folder, 'glob', name)));
  assert.deepEqual(await fileSource.glob('nowhere/*.yaml', folder), []);
  assert.deepEqual(await fileSource.glob('ten/*.yaml', folder), []);
  assert.deepEqual(await fileSource.glob(path.join(folder, 'glob/sub/*'), '/'), [path.join(folder, 'glob/sub/d.yaml')]);
  assert.deepEqual(await relative('glob/a*a.yaml'), [], 'what the star stands for has a length of its own');
  assert.deepEqual(await relative('glob/../glob/./b*'), ['glob/b.yaml']);
  for (const pattern of ['glob/**/*.yaml', 'gl*/**']) assert.ok((await relative(pattern)).includes('glob/sub/d.yaml'), pattern);
  for (const pattern of ['glob/[ab].yaml', 'glob/{a,b}.yaml', 'glob/?.yaml', 'g*b/*.yaml']) assert.deepEqual(await relative(pattern), ['glob/a.yaml', 'glob/b.yaml'], pattern);
});

/** A clock for which every file has been left alone for long enough. */
const laterSource = createFileSource(() => Date.now() + 60_000);

/** Returns when files that are written from now on get other times than this one. */
function passTick(file: string): void {
  const {ctimeNs} = statSync(file, {bigint: true});
  const deadlineMs = Date.now() + 10_000;
  do assert.ok(Date.now() < deadlineMs, 'the clock of the file system stands still');
  while (statSync(write('tick', ''), {bigint: true}).ctimeNs === ctimeNs);
}

test('a file that has not changed is not read again', async () => {
  const file = write('same', 'text');
  const before = await laterSource.readText(file, 100);
  assert.equal(await laterSource.readText(file, 100, before), before);
  assert.equal(laterSource.isKnown(file, before), true);
});

const CHANGES: Readonly<Record<string, (file: string) => void>> = {
  'written with the same length': (file) => writeFileSync(file, 'TEXT'),
  'written with its former times restored': (file) => {
    const {atime, mtime} = statSync(file);
    writeFileSync(file, 'TEXT');
    utimesSync(file, atime, mtime);
  },
  'replaced by another of the same age': (file) => {
    const {atime, mtime} = statSync(file);
    writeFileSync(`${file}.new`, 'TEXT');
    utimesSync(`${file}.new`, atime, mtime);
    renameSync(`${file}.new`, file);
  },
  'replaced by a link': (file) => {
    unlinkSync(file);
    symlinkSync(write('target', 'TEXT'), file);
  },
  removed: unlinkSync,
  'replaced by a directory': (file) => {
    unlinkSync(file);
    mkdirSync(file);
  },
};

for (const [what, change] of Object.entries(CHANGES)) {
  test(`a file that was ${what} is read again`, async () => {
    const file = write(`changed/${what}`, 'text');
    const before = await laterSource.readText(file, 100);
    passTick(file);
    change(file);
    assert.equal(laterSource.isKnown(file, before), false);
    const after = await laterSource.readText(file, 100, before);
    assert.notEqual(after, before);
    assert.deepEqual(after, await laterSource.readText(file, 100));
  });
}

test('a link that leads elsewhere is followed anew', async () => {
  const first = write('releases/1/file', 'text');
  passTick(first);
  write('releases/2/file', 'TEXT');
  const link = path.join(folder, 'releases/current');
  symlinkSync('1', link);
  const before = await laterSource.readText(path.join(link, 'file'), 100);
  symlinkSync('2', `${link}.new`);
  renameSync(`${link}.new`, link);
  assert.equal(laterSource.isKnown(path.join(link, 'file'), before), false);
  const after = await laterSource.readText(path.join(link, 'file'), 100, before);
  assert.equal(after.ok && after.text, 'TEXT');
});

test('what could not be read is never known', async () => {
  const file = path.join(folder, 'missing');
  assert.equal(laterSource.isKnown(file, await laterSource.readText(file, 100)), false);
});

test('a file that can no longer be read is not known any more', async () => {
  const file = write('secret', 'text');
  const before = await laterSource.readText(file, 100);
  passTick(file);
  // Not by its permissions: root may read everything.
  rmSync(file);
  mkdirSync(file);
  assert.equal((await laterSource.readText(file, 100, before)).ok, false);
});

test('a file that was written a moment ago is read again, whatever its times say', async () => {
  const file = write('fresh', 'text');
  for (let i = 0; i < 100; i++) {
    const before = await fileSource.readText(file, 100);
    assert.equal(fileSource.isKnown(file, before), false);
    writeFileSync(file, String(1000 + i));
    const after = await fileSource.readText(file, 100, before);
    assert.equal(after.ok && after.text, String(1000 + i));
  }
});

test('a clock that was set back makes no file known', async () => {
  const pastSource = createFileSource(() => Date.now() - 3_600_000);
  const before = await pastSource.readText(write('future', 'text'), 100);
  assert.equal(before.ok && before.stamp, null);
});
