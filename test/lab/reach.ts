/** Whether a pod gets an answer. */
import type { Pod } from './runtime.ts';
import { until } from './wait.ts';

export const answers = (from: Pod, address: string): Promise<boolean> =>
  from.namespace.run(['ping', '-n', '-c', '1', '-W', '1', address]).then(
    () => true,
    () => false,
  );

/** Asks again and again; rejects with who has no answer after `withinMs`. */
export const untilAnswers = (from: Pod, address: string, withinMs: number): Promise<true> =>
  until(
    `${from.name} to reach ${address}`,
    async () => (await answers(from, address)) || undefined,
    withinMs,
    20,
  );
