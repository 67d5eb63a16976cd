import {CUSTOMERS_SCENARIOS} from './customers.ts';
import {DISTURBED_SCENARIOS} from './disturbed.ts';
import {FAIR_SCENARIOS} from './fair.ts';
import {HANDSHAKE_SCENARIOS} from './handshakes.ts';
import {HTTP2_SCENARIOS} from './http2.ts';
import {MEMORY_SCENARIOS} from './memory.ts';
import {REQUEST_SCENARIOS} from './requests.ts';
import type {Scenario} from './scenario.ts';
import {THREAD_SCENARIOS} from './threads.ts';
import {WEBSOCKET_SCENARIOS} from './websockets.ts';

export const SCENARIOS: readonly Scenario[] = [
  ...REQUEST_SCENARIOS, ...HTTP2_SCENARIOS, ...WEBSOCKET_SCENARIOS, ...HANDSHAKE_SCENARIOS, ...THREAD_SCENARIOS, ...DISTURBED_SCENARIOS, ...FAIR_SCENARIOS,
  ...MEMORY_SCENARIOS, ...CUSTOMERS_SCENARIOS,
];

/** The scenarios with these names or groups; throws for a name that is none. */
export function selectScenarios(names: readonly string[]): readonly Scenario[] {
  if (names.length === 0) return SCENARIOS;
  const unknown = names.filter(name => !SCENARIOS.some(scenario => scenario.name === name || scenario.group === name));
  if (unknown.length > 0) throw new Error(`there is no scenario or group ${unknown.join(', ')}; --list shows all`);
  return SCENARIOS.filter(scenario => names.includes(scenario.name) || names.includes(scenario.group));
}
