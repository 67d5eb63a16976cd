import assert from 'node:assert/strict';
import {availableParallelism, totalmem} from 'node:os';
import {mock, test} from 'node:test';
import {readMachine} from '#src/control/machine.ts';

test('the memory is that of the machine, or less where a control group says so', (context) => {
  const limit = mock.method(process, 'constrainedMemory', () => 2 ** 26);
  context.after(() => limit.mock.restore());
  assert.deepEqual(readMachine(), {cores: availableParallelism(), memoryBytes: 2 ** 26});
  for (const none of [0, 2 ** 64]) {
    limit.mock.mockImplementation(() => none);
    assert.equal(readMachine().memoryBytes, totalmem());
  }
});
