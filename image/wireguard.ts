/** wireguard-go and the small program that runs it where it is needed. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Arch, toolFor } from './arch.ts';
import { cached, keyOf } from './cache.ts';
import { run } from './run.ts';

const SUPERVISOR = join(import.meta.dirname, 'wireguard.c');
const MODULE = join(import.meta.dirname, 'wireguard-go');
const PACKAGE = 'golang.zx2c4.com/wireguard';

const CC_FLAGS = ['-std=gnu11', '-Wall', '-Wextra', '-Werror', '-Os', '-s', '-Wl,--build-id=none'];
const GO_FLAGS = ['-trimpath', '-buildvcs=false', '-ldflags=-s -w -buildid='];

/** Compiled against the C library that the image has. @returns path of weft-wireguard */
export async function buildSupervisor(arch: Arch): Promise<string> {
  const compiler = toolFor(arch, 'gcc');
  const cure = `apt-get install ${arch === 'arm64' ? 'gcc-aarch64-linux-gnu' : 'gcc-x86-64-linux-gnu'}`;
  const version = await run([compiler, '--version'], { cure });
  const key = keyOf(readFileSync(SUPERVISOR, 'utf8'), version, ...CC_FLAGS);
  const folder = await cached(`supervisor-${arch}-${key}`, async fresh => {
    await run([compiler, ...CC_FLAGS, '-o', join(fresh, 'weft-wireguard'), SUPERVISOR]);
  });
  return join(folder, 'weft-wireguard');
}

/** `go1.26.8`; undefined where there is no Go that knows `tool` lines in go.mod. */
async function goVersion(): Promise<string | undefined> {
  try {
    const version = (await run(['go', 'env', 'GOVERSION'], { env: { GOTOOLCHAIN: 'local' } })).trim();
    const minor = Number(/^go1\.(\d+)/.exec(version)?.[1]);
    return minor >= 24 ? version : undefined;
  } catch {
    return undefined;
  }
}

/** The pinned version, from go.mod. */
const moduleVersion = (): string =>
  /golang\.zx2c4\.com\/wireguard (v\S+)/.exec(readFileSync(join(MODULE, 'go.mod'), 'utf8'))?.[1] ?? '';

export type Built = { readonly path: string; readonly version: string };

/** The newer wireguard-go, static; undefined where Go is missing and Debian's must do. */
export async function buildWireguardGo(arch: Arch): Promise<Built | undefined> {
  const go = await goVersion();
  if (go === undefined) return undefined;
  const sums = readFileSync(join(MODULE, 'go.sum'), 'utf8');
  const folder = await cached(
    `wireguard-go-${arch}-${keyOf(go, moduleVersion(), sums, ...GO_FLAGS)}`,
    async fresh => {
      const env = {
        CGO_ENABLED: '0',
        GOARCH: arch,
        GOOS: 'linux',
        GOTOOLCHAIN: 'local',
        GOFLAGS: '-mod=readonly',
      };
      await run(['go', 'build', ...GO_FLAGS, '-o', join(fresh, 'wireguard-go'), PACKAGE], {
        cwd: MODULE,
        env,
      });
    },
  );
  return { path: join(folder, 'wireguard-go'), version: `${moduleVersion()} (${go})` };
}
