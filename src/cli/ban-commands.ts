/** The commands about bans, as the command line knows them. */
import {InvalidArgumentError, Option, type Command} from 'commander';
import {parseDuration} from '#src/config/units.ts';

type Options = {readonly config: string; readonly customer?: string};

const HOUR_MS = 3_600_000;

function readDuration(text: string): number {
  const ms = parseDuration(text);
  if (ms === null) throw new InvalidArgumentError('Write for example 90s, 10m or 48h.');
  return ms;
}

export function addBanCommands(program: Command, configOption: readonly [flags: string, description: string], resolve: (exitCode: number) => void): void {
  const customerOption = ['--customer <name>', 'only from this customer\'s sites'] as const;
  program.command('ban').description('ban a client network, from the whole node or from one customer')
    .argument('<network>', 'an IP address or CIDR, for example 203.0.113.7 or 2001:db8:1:2::/64')
    .requiredOption(...configOption).option(...customerOption)
    .addOption(new Option('--for <duration>', 'how long').argParser(readDuration).default(HOUR_MS, '1h'))
    .option('--reason <text>', 'one line for colleagues', 'no reason given')
    .action(async (network: string, {config, customer, for: forMs, reason}: Options & {readonly for: number; readonly reason: string}) => {
      const {runBan} = await import('#src/cli/bans.ts');
      resolve(await runBan({config, network, customer, forMs, reason}, process));
    });
  program.command('unban').description('end a ban')
    .argument('<network>', 'as in the ban').requiredOption(...configOption).option(...customerOption)
    .action(async (network: string, {config, customer}: Options) => {
      const {runUnban} = await import('#src/cli/bans.ts');
      resolve(await runUnban({config, network, customer}, process));
    });
  program.command('bans').description('list the bans in force')
    .requiredOption(...configOption).option('--json', 'as JSON', false)
    .action(async ({config, json}: Options & {readonly json: boolean}) => {
      const {runBans} = await import('#src/cli/bans.ts');
      resolve(await runBans({config, json}, process));
    });
}
