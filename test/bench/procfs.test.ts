import assert from 'node:assert/strict';
import {describe, it} from 'node:test';
import {descendants, parseSmapsRollup, parseStat, readCpuMicroseconds, readMemoryBytes} from '../../bench/harness/procfs.ts';

const STAT = (pid: number, name: string, parent: number): string =>
  `${pid} (${name}) S ${parent} ${pid} ${pid} 0 -1 4194560 1186 2000 0 0 70 30 4 1 20 0 1 0 12345 10000000 900 18446744073709551615 0 0\n`;

describe('/proc/PID/stat', () => {
  it('adds its own time and that of ended children', () => {
    assert.deepEqual(parseStat(STAT(42, 'nginx', 7)), {pid: 42, parent: 7, userTicks: 74, systemTicks: 31});
  });

  it('reads a command name with spaces and parentheses', () => {
    assert.deepEqual(parseStat(STAT(42, 'a) S 1 (b', 7)), {pid: 42, parent: 7, userTicks: 74, systemTicks: 31});
  });

  it('refuses what is something else', () => {
    assert.throws(() => parseStat('hello'), /not a line/);
    assert.throws(() => parseStat('1 (short) S 0 1'), /not a line/);
  });
});

describe('a tree of processes', () => {
  it('has the children of children, and nobody else', () => {
    const stats = [[1, 0], [2, 1], [3, 2], [4, 0], [5, 3]].map(([pid = 0, parent = 0]) => ({pid, parent, userTicks: 0, systemTicks: 0}));
    assert.deepEqual(descendants(stats, 2).map(stat => stat.pid), [2, 3, 5]);
    assert.deepEqual(descendants(stats, 9), []);
  });
});

describe('memory', () => {
  it('is the proportional set in bytes', () => {
    assert.equal(parseSmapsRollup('Rss:  9 kB\nPss:                 812 kB\nPss_Anon: 5 kB\n'), 812 * 1024);
    assert.throws(() => parseSmapsRollup('Rss: 1 kB\n'), /no Pss/);
  });
});

describe('this very process', {skip: process.platform === 'linux' ? false : '/proc is of Linux'}, () => {
  it('has used CPU time and memory', () => {
    assert.ok(readCpuMicroseconds(process.pid) > 0);
    assert.ok(readMemoryBytes(process.pid) > 1024 * 1024);
  });
});
