/** The agent's end of the CNI socket: calls come in, verbs run, answers go out. */
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { Log } from '../agent/log.ts';
import type { LinuxKernel } from '../platform/linux/kernel.ts';
import type { TableMemos } from '../platform/linux/table.ts';
import type { Cidr, Ip } from '../types.ts';
import { openBook } from './book.ts';
import { openCooling } from './cooling.ts';
import { del } from './del.ts';
import { openDelQueue } from './delqueue.ts';
import { CniError, CODES, errorJson } from './errors.ts';
import { newGate } from './gate.ts';
import { type HeadStart, openHeadStart } from './headstart.ts';
import type { PoolStats } from './ipam.ts';
import { newKeyed } from './keyed.ts';
import { type Lease, leaseKey, openLeases } from './lease.ts';
import type { ReservedPort } from './ports.ts';
import { openPorts } from './publish.ts';
import { allGone } from './quiet.ts';
import { openReleases } from './release.ts';
import { openSession } from './session.ts';
import { openLimiter } from './shape.ts';
import { answerVersion, parseRequest } from './spec.ts';
import { newStrangers, type Stranger } from './strangers.ts';
import { ensureAntiSpoofing, sweepPods } from './sweep.ts';
import { runVerb, type VerbDeps } from './verbs.ts';

export type CniConfig = {
  readonly podCidrs: readonly Cidr[];
  readonly gateways: readonly Ip[];
  /** Of new pods. */
  readonly mtu: number;
  readonly antiSpoofing: boolean;
  /** Refused as hostPorts. */
  readonly reservedPorts?: readonly ReservedPort[];
};

export type CniOptions = {
  readonly kernel: LinuxKernel;
  readonly memos: TableMemos;
  readonly socketPath: string;
  readonly leaseDir: string;
  readonly delQueueDir: string;
  readonly coolingFile: string;
  readonly readyMarker: string;
  readonly log: Log;
  /** Milliseconds; goes on while no agent runs. */
  readonly now?: () => number;
  readonly beforeWire?: VerbDeps['beforeWire'];
  readonly beforeAnswer?: (lease: Lease) => Promise<void>;
  /** A verb was refused: for Events (`exhausted`, `portTaken` of CODES are for people) and metrics. */
  readonly failed?: (verb: string, error: CniError) => void;
  /** A call was answered, after so many milliseconds, with this code (0: done). For metrics. */
  readonly served?: (verb: string, ms: number, code: number) => void;
  /** What a foreign hand undid was put back. */
  readonly mended?: VerbDeps['mended'];
  /** An attachment is no more: at once. */
  readonly parted?: () => void;
  /** Addresses that have no holder any more, up to two seconds later. */
  readonly released?: (ips: readonly Ip[]) => void;
};

export type VerbStats = { readonly calls: number; readonly errors: number; readonly lastMs: number };

export type CniServer = {
  /** From now on ADD can be answered; or the reason why it cannot. */
  readonly configure: (config: CniConfig | { readonly reason: string }) => void;
  /**
   * Queued DELs and damaged wires put right, and where `tables` (the default) the tables about pods too; the number of
   * changes. Calls must not overlap.
   */
  readonly sweep: (tables?: boolean) => Promise<number>;
  /** Resolves when no pod's link is being removed, or soon: a time to ask for links (quiet.ts). */
  readonly quiet: () => Promise<void>;
  readonly leases: () => readonly Lease[];
  readonly stats: () => {
    /** `size` and `free` as decimal digits: an IPv6 range has more than a number can count. */
    readonly pools: readonly (Omit<PoolStats, 'size' | 'free'> & {
      readonly size: string;
      readonly free: string;
    })[];
    readonly verbs: Readonly<Record<string, VerbStats>>;
    readonly strangers: readonly Stranger[];
  };
  readonly close: () => Promise<void>;
};

const toCniError = (error: unknown): CniError =>
  error instanceof CniError
    ? error
    : new CniError(CODES.io, error instanceof Error ? error.message : String(error));

function newCounters(served: NonNullable<CniOptions['served']>) {
  const verbs = new Map<string, VerbStats>();
  const count = (verb: string, ms: number, code: number): void => {
    served(verb, ms, code);
    const before = verbs.get(verb) ?? { calls: 0, errors: 0, lastMs: 0 };
    verbs.set(verb, { calls: before.calls + 1, errors: before.errors + Number(code !== 0), lastMs: ms });
  };
  return { count, all: () => Object.fromEntries(verbs) };
}

type Counters = ReturnType<typeof newCounters>;

type Ends = { readonly stopping: () => boolean; readonly failed: (verb: string, error: CniError) => void };

async function serveCall(deps: VerbDeps, counters: Counters, ends: Ends, socket: Socket): Promise<void> {
  const session = openSession(socket);
  const hello = await session.hello;
  const verb = hello.env.get('CNI_COMMAND') ?? '';
  const begin = performance.now();
  let head: HeadStart | undefined;
  try {
    head = openHeadStart(deps, hello, session);
    const request = parseRequest(hello);
    const answer = await runVerb(deps, request, session, head);
    session.finish(0, answer);
    counters.count(verb, performance.now() - begin, 0);
    if (verb === 'ADD' || verb === 'DEL')
      deps.log.info(
        {
          verb,
          container: request.containerId,
          pod: request.pod?.name,
          ms: Math.round(performance.now() - begin),
        },
        'cni',
      );
  } catch (error) {
    const failure = toCniError(error);
    await head
      ?.giveUp()
      .catch(e => deps.log.warn({ link: head?.ends.link, error: String(e) }, 'a link is left over'));
    // Without an answer the binary turns to our successor.
    if (ends.stopping() && failure.code === CODES.tryLater) return void socket.destroy();
    session.finish(1, errorJson(answerVersion(hello.stdin), failure));
    counters.count(verb, performance.now() - begin, failure.code);
    ends.failed(verb, failure);
    deps.log.warn(
      { verb, code: failure.code, container: hello.env.get('CNI_CONTAINERID'), details: failure.details },
      failure.message,
    );
  }
}

/**
 * Bound under another name and then renamed: a binary finds the old agent's socket or ours, never
 * none that works; and Node, which removes what it has bound, leaves a successor's socket alone.
 */
async function listen(server: Server, path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}`;
  rmSync(temporary, { force: true });
  const mask = process.umask(0o177);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(temporary, resolve);
  }).finally(() => process.umask(mask));
  renameSync(temporary, path);
}

/** DELs that were promised while the agent was away, or before it was killed. */
async function carryOut(deps: VerbDeps): Promise<number> {
  const queued = deps.queue
    .all(file => deps.log.warn({ file }, 'a queued DEL cannot be read and is dropped'))
    .filter(one => !deps.keyed.busy(leaseKey(one)));
  for (const one of queued)
    await deps.keyed
      .run(leaseKey(one), async () => {
        // ADD may have carried it out meanwhile, and then what is there is new.
        if (deps.queue.find(one) !== undefined) await del(deps, one.containerId, one.ifname);
        else one.done();
      })
      .catch(error =>
        deps.log.error({ container: one.containerId, error: String(error) }, 'a queued DEL failed'),
      );
  return queued.length;
}

/** An address that is free rests long before it is used again, so its old connections are in no hurry. */
const RELEASE_MS = 2_000;

/** CLOCK_MONOTONIC: the same for an agent and its successor. */
const sinceBoot = (): number => Number(process.hrtime.bigint() / 1_000_000n);

const FIRST_LOOK = { reason: 'the pods of before are being looked at' } as const;

/** Listens at once; ADD answers "try again later" until `configure`. */
export async function startCni(options: CniOptions): Promise<CniServer> {
  const { kernel, log, memos } = options;
  const now = options.now ?? sinceBoot;
  const book = openBook(openLeases(options.leaseDir), openCooling(options.coolingFile));
  for (const file of book.damaged()) log.warn({ file }, 'a lease cannot be read and is ignored');
  let config: CniConfig | { readonly reason: string } = { reason: 'the agent has just started' };
  let looked = false;
  const gate = newGate<CniConfig>(config.reason);
  const releases = openReleases(options.released ?? (() => {}), RELEASE_MS);
  const keyed = newKeyed();
  const deps: VerbDeps = {
    kernel,
    book,
    keyed,
    log,
    now,
    ready: gate.now,
    readyWithin: gate.within,
    queue: openDelQueue(options.delQueueDir),
    leaving: new Set(),
    ports: openPorts({ nft: kernel.nft, sysctls: kernel.sysctls, flows: kernel.flows, book, keyed, memos }),
    limiter: openLimiter({ kernel, book, keyed }),
    strangers: newStrangers(log),
    readyMarker: options.readyMarker,
    beforeWire: options.beforeWire ?? (async () => options.beforeAnswer === undefined),
    beforeAnswer: options.beforeAnswer ?? (async () => {}),
    released: ips => {
      options.parted?.();
      releases.add(ips);
    },
    mended: options.mended ?? (() => {}),
  };
  const counters = newCounters(options.served ?? (() => {}));
  let stopping = false;
  const ends: Ends = { stopping: () => stopping, failed: options.failed ?? (() => {}) };
  const server = createServer(
    socket =>
      void serveCall(deps, counters, ends, socket).catch(error =>
        log.warn({ error: String(error) }, 'a CNI call broke off'),
      ),
  );
  await listen(server, options.socketPath);

  server.on('error', error => log.error({ error: String(error) }, 'the CNI socket'));

  /** What only some pods have must not keep the others from being served. */
  const extra = (what: string, work: () => Promise<number>): Promise<number> =>
    work().catch(error => {
      log.error(
        { error: error instanceof Error ? error.message : String(error) },
        `${what} cannot be mended`,
      );
      return 0;
    });

  let settled = false;
  const ensureSpoofing = async ({ antiSpoofing }: CniConfig): Promise<number> => {
    const spoofing = await ensureAntiSpoofing(deps, antiSpoofing, memos);
    settled = spoofing.settled;
    // The first look writes what the last agent, or nobody, wrote.
    if (looked) deps.mended('anti-spoofing', spoofing.changes);
    return spoofing.changes;
  };

  const quiet = (): Promise<void> => allGone(deps.leaving);

  const sweep = async (tables = true): Promise<number> => {
    if ('reason' in config) return 0;
    await quiet();
    const spoofing = tables || !settled ? await ensureSpoofing(config) : 0;
    const { gateways } = config;
    const ports = await extra('hostPorts', () => deps.ports.ensure(gateways, tables));
    const pods = (await carryOut(deps)) + (await sweepPods(deps, gateways));
    const changes = spoofing + ports + pods + (await extra('bandwidth limits', deps.limiter.ensure));
    // Only now is it known which addresses are held and by whom.
    looked = true;
    gate.set(config);
    return changes;
  };

  return {
    configure: next => {
      config = next;
      looked &&= !('reason' in next);
      if (!('reason' in next)) book.setRanges(next.podCidrs, now());
      gate.set('reason' in next || looked ? next : FIRST_LOOK);
    },
    sweep,
    quiet,
    leases: book.all,
    stats: () => ({
      pools: book.stats(now()).map(pool => ({ ...pool, size: String(pool.size), free: String(pool.free) })),
      verbs: counters.all(),
      strangers: deps.strangers.all(),
    }),
    close: async () => {
      stopping = true;
      const closed = new Promise<void>(resolve => server.close(() => resolve()));
      gate.end('the agent is stopping');
      await closed;
      await deps.keyed.idle();
      releases.flush();
    },
  };
}
