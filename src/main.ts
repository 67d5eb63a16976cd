import {runProgram} from '#src/cli/program.ts';

// Explicitly, so that nothing that is still open can keep a finished command alive.
process.exit(await runProgram(process.argv.slice(2)));
