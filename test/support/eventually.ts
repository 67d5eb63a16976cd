const DEADLINE_MS = 30_000;
const STEP_MS = 2;

/** Waits until the condition holds; fails with the description when it does not come true in time. */
export async function eventually(description: string, condition: () => boolean | Promise<boolean>, withinMs = DEADLINE_MS): Promise<void> {
  const deadlineMs = performance.now() + withinMs;
  while (!await condition()) {
    if (performance.now() > deadlineMs) throw new Error(`never came true: ${description}`);
    await new Promise((resolve) => { setTimeout(resolve, STEP_MS); });
  }
}

/**
 * Lets everything that is on its way over loopback arrive: for what must *not* happen, and so cannot be waited for. Turns of the event
 * loop and no time: a slow machine takes longer turns.
 */
export async function settle(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => { setTimeout(resolve, 1); });
}
