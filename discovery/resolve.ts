/** Host names of force-endpoint annotations → addresses, looked up again every minute. */
import { lookup } from 'node:dns/promises';
import type { Log } from '../agent/log.ts';
import { startRunner } from '../agent/runner.ts';
import { compareIps, parseIp } from '../ip.ts';
import type { Ip } from '../types.ts';
import { messageOf } from './api-error.ts';
import { type Clock, jittered } from './clock.ts';

/** Addresses of a name, in text. Rejects where there are none. */
export type Lookup = (host: string) => Promise<readonly string[]>;

/** By the system's resolver, so that /etc/hosts counts. */
export const systemLookup: Lookup = async host =>
  (await lookup(host, { all: true })).map(found => found.address);

const EVERY_MS = 60_000;

/** A peer that is silent may have moved: its name is looked up again, but not more often than this. */
const HURRY_MS = 5_000;

/** Names asked for at the same time; libuv runs no more lookups than that at once either. */
const AT_ONCE = 2;

/** After this a lookup counts as failed; its thread may stay busy longer. */
const LIMIT_MS = 10_000;

export type Resolver = {
  /** Exactly these hosts from now on; literal addresses are resolved at once. */
  readonly want: (hosts: readonly string[]) => void;
  /** Looks this host up again now, unless that was done a moment ago. Not one of those wanted: nothing. */
  readonly hurry: (host: string) => void;
  /** The same map until something changes. A name that fails keeps the addresses it had. */
  readonly resolved: () => ReadonlyMap<string, readonly Ip[]>;
  readonly close: () => Promise<void>;
};

export type ResolverOptions = {
  readonly lookup: Lookup;
  readonly onChange: () => void;
  readonly log: Log;
  readonly clock: Clock;
};

type Name = {
  readonly ips: readonly Ip[];
  readonly askedAt: number;
  readonly dueAt: number;
  readonly failures: number;
};

const parseAll = (texts: readonly string[]): readonly Ip[] =>
  [...new Set(texts.flatMap(text => (r => (r.ok ? [r.value] : []))(parseIp(text))))].sort(compareIps);

const literal = (host: string): Ip | undefined => {
  const ip = parseIp(host);
  return ip.ok ? ip.value : undefined;
};

export function startResolver({ lookup: ask, onChange, log, clock }: ResolverOptions): Resolver {
  let literals: ReadonlyMap<string, readonly Ip[]> = new Map();
  const names = new Map<string, Name>();
  let map: ReadonlyMap<string, readonly Ip[]> = new Map();
  const asking = new Map<string, Promise<readonly string[]>>();
  const closing = Promise.withResolvers<never>();
  closing.promise.catch(() => {});
  let closed = false;

  const publish = (): void => {
    const known = [...names]
      .filter(([, name]) => name.ips.length > 0)
      .map(([host, name]) => [host, name.ips] as const);
    const next = new Map([...literals, ...known]);
    if (JSON.stringify([...next]) === JSON.stringify([...map])) return;
    map = next;
    if (!closed) onChange();
  };

  /** The system's resolver cannot be called off: while it still works on a name it is not asked again. */
  const askOnce = (host: string): Promise<readonly string[]> => {
    const before = asking.get(host);
    if (before !== undefined) return before;
    const answer = ask(host).finally(() => asking.delete(host));
    answer.catch(() => {});
    asking.set(host, answer);
    return answer;
  };

  const limited = async (host: string): Promise<readonly Ip[]> => {
    let cancel = (): void => {};
    const late = new Promise<never>((_, reject) => {
      cancel = clock.set(LIMIT_MS, () => reject(new Error(`no answer within ${LIMIT_MS / 1_000} s`)));
    });
    try {
      const ips = parseAll(await Promise.race([askOnce(host), late, closing.promise]));
      if (ips.length === 0) throw new Error('it has no address');
      return ips;
    } finally {
      cancel();
    }
  };

  const complain = (host: string, name: Name, error: unknown): void => {
    const message = `${host} of a force-endpoint does not resolve; ${name.ips.length > 0 ? 'its last addresses stay in use' : 'its node is without endpoint until it does'}`;
    log[name.failures === 0 ? 'warn' : 'debug']({ host, error: messageOf(error) }, message);
  };

  const resolveOne = async (host: string): Promise<void> => {
    const before = names.get(host);
    if (before === undefined) return;
    const askedAt = clock.now();
    try {
      const ips = await limited(host);
      if (names.has(host)) names.set(host, { ips, askedAt, dueAt: clock.now() + EVERY_MS, failures: 0 });
    } catch (error) {
      if (closed) return;
      complain(host, before, error);
      const failures = before.failures + 1;
      const dueAt = clock.now() + Math.min(EVERY_MS, 2_000 * 2 ** Math.min(failures, 5));
      if (names.has(host)) names.set(host, { ips: before.ips, askedAt, dueAt, failures });
    }
    publish();
  };

  const run = async (): Promise<number | undefined> => {
    const due = [...names].filter(([, name]) => name.dueAt <= clock.now()).map(([host]) => host);
    const worker = async (): Promise<void> => {
      for (let host = due.shift(); host !== undefined && !closed; host = due.shift()) await resolveOne(host);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    const waits = [...names.values()].map(name => name.dueAt - clock.now());
    return waits.length > 0 ? Math.max(0, Math.min(...waits)) : undefined;
  };

  const runner = startRunner({
    run,
    onError: error => log.error({ error: messageOf(error) }, 'resolving host names failed'),
    minMs: 100,
    maxMs: EVERY_MS,
    retryMs: 1_000,
    timers: jittered(clock),
  });

  return {
    want: hosts => {
      const wanted = new Set(hosts);
      literals = new Map(
        [...wanted].flatMap(host => (ip => (ip ? [[host, [ip]] as const] : []))(literal(host))),
      );
      for (const host of names.keys()) if (!wanted.has(host)) names.delete(host);
      const fresh = [...wanted].filter(host => !literals.has(host) && !names.has(host));
      for (const host of fresh) names.set(host, { ips: [], askedAt: clock.now(), dueAt: 0, failures: 0 });
      publish();
      if (fresh.length > 0) runner.mark();
    },
    hurry: host => {
      const name = names.get(host);
      if (name === undefined || clock.now() - name.askedAt < HURRY_MS) return;
      names.set(host, { ...name, askedAt: clock.now(), dueAt: 0 });
      runner.mark();
    },
    resolved: () => map,
    close: async () => {
      closed = true;
      closing.reject(new Error('closed'));
      await runner.stop();
    },
  };
}
