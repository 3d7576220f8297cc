/**
 * Who encrypts: WireGuard of the kernel where it has it, else wireguard-go, which must outlive
 * the agent: started in a session of its own, or by somebody else (manifests/weft-userspace.yaml).
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isExists, isUnsupported } from './errors.ts';
import type { Kernel, Link } from './types.ts';

export type Engine =
  | { readonly kind: 'kernel' }
  | { readonly kind: 'wireguard-go' }
  | { readonly kind: 'none'; readonly reason: string };

const PROGRAM_PATHS = ['/usr/bin/wireguard-go', '/usr/local/bin/wireguard-go', '/usr/sbin/wireguard-go'];

const program = (): string | undefined =>
  [process.env.WEFT_WIREGUARD_GO, ...PROGRAM_PATHS].find(path => path !== undefined && existsSync(path));

/** True where the kernel made the link, or had it already; false where it has no WireGuard. */
async function makeInKernel(kernel: Kernel, link: string, mtu: number): Promise<boolean> {
  try {
    await kernel.links.add({ name: link, kind: 'wireguard', mtu });
    return true;
  } catch (error) {
    if (isExists(error)) return true;
    if (isUnsupported(error)) return false;
    throw error;
  }
}

/** wireguard-go puts itself into the background; we wait for the program, not for the daemon. */
function start(path: string, link: string): Promise<number | null> {
  const child = spawn(path, [link], {
    detached: true,
    stdio: 'ignore',
    cwd: '/',
    env: {
      PATH: process.env.PATH,
      LOG_LEVEL: 'error',
      ...(process.env.GOMEMLIMIT && { GOMEMLIMIT: process.env.GOMEMLIMIT }),
    },
  });
  return new Promise(resolve => {
    child.once('error', () => resolve(null));
    child.once('exit', resolve);
  });
}

const answers = async (kernel: Kernel, link: string): Promise<boolean> =>
  (await kernel.wg.dump(link)) !== undefined;

/** The wireguard-go of a link that was just removed may hold the name a little longer. */
const START_TRIES = 5;
const ANSWER_TRIES = 50;

async function answersSoon(kernel: Kernel, link: string): Promise<boolean> {
  for (let tries = 0; tries < ANSWER_TRIES; tries += 1) {
    if (await answers(kernel, link)) return true;
    await sleep(20);
  }
  return false;
}

async function startUserspace(kernel: Kernel, link: string): Promise<Engine> {
  const path = program();
  if (path === undefined || !existsSync('/dev/net/tun'))
    return {
      kind: 'none',
      reason: `the kernel has no WireGuard, and ${path === undefined ? 'there is no program wireguard-go' : '/dev/net/tun is not there'}: load the module wireguard, or install manifests/weft-userspace.yaml in place of manifests/weft.yaml`,
    };
  let code: number | null = null;
  for (let tries = 0; tries < START_TRIES; tries += 1) {
    code = await start(path, link);
    if (code === 0 && (await answersSoon(kernel, link))) return { kind: 'wireguard-go' };
    await sleep(200);
  }
  return {
    kind: 'none',
    reason: `${path} ${link} ended with ${code} and does not answer: run it by hand to see why`,
  };
}

/** Links that a wireguard-go answered for, by index: one that is made anew is another's. */
const adopted = new WeakMap<Kernel, Map<string, number>>();

async function adopt(kernel: Kernel, { name, index }: Link): Promise<boolean> {
  const known = adopted.get(kernel) ?? new Map<string, number>();
  if (known.get(name) === index && kernel.wg.answered(name)) return true;
  const alive = await answers(kernel, name);
  if (alive) adopted.set(kernel, known.set(name, index));
  return alive;
}

/**
 * Makes sure that `link` is there and has an engine. Spawns nothing where the kernel's own is in
 * place, nor where a wireguard-go was found for this very link and answered the last `wg.dump`.
 */
export async function ensureWireguard(
  kernel: Kernel,
  link: string,
  { mtu }: { readonly mtu: number },
): Promise<Engine> {
  const there = await kernel.links.get(link);
  if (there?.kind === 'wireguard') return { kind: 'kernel' };
  if (there === undefined && (await makeInKernel(kernel, link, mtu))) return { kind: 'kernel' };
  if (there === undefined) return startUserspace(kernel, link);
  if (await adopt(kernel, there)) return { kind: 'wireguard-go' };
  return {
    kind: 'none',
    reason: `the link ${link} is there, but no WireGuard answers for it: is its wireguard-go still running? Remove it with: ip link delete ${link}`,
  };
}
