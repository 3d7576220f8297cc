import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { verbs } from '../../command/verbs.ts';
import { ARCHITECTURES, type Arch } from '../../image/arch.ts';
import { makeImage } from '../../image/build.ts';
import { imageContents } from '../../image/contents.ts';
import { machineOf } from '../../image/elf.ts';
import { agentMounts } from '../../manifests/volumes.ts';
import { WIREGUARD_PROGRAM } from '../../manifests/wireguard.ts';
import { VERSION } from '../../version.ts';
import { type Namespace, newHost } from '../lab/namespace.ts';
import { type Opened, openArchive } from './archive.ts';

const native: Arch = process.arch === 'arm64' ? 'arm64' : 'amd64';
const foreign: Arch = native === 'amd64' ? 'arm64' : 'amd64';

const has = (program: string): boolean => {
  try {
    execFileSync('sh', ['-c', 'command -v "$0"', program], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

const missing = (...programs: string[]): string | false => {
  const absent = programs.filter(program => !has(program));
  return absent.length > 0 && `not installed: ${absent.join(', ')}`;
};

const skipNative =
  process.getuid?.() === 0 ? missing('apt-get', 'gcc', 'readelf', 'strip', 'unshare') : 'needs root';

describe('image', { skip: skipNative }, () => {
  let folder: string;
  let archive: Buffer;
  let opened: Opened;
  let host: Namespace;

  /** Runs a program of the image, its root read-only. */
  const inside = (...argv: string[]): Promise<string> =>
    host.run(['chroot', join(folder, 'root'), ...argv], { env: { PATH: '/usr/sbin:/usr/bin' } });

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'weft-image-'));
    ({ archive } = await makeImage(native));
    writeFileSync(join(folder, 'image.tar'), archive);
    const root = join(folder, 'root');
    opened = openArchive(join(folder, 'image.tar'), join(folder, 'oci'), root);
    const mounts = [
      `mount --bind ${root} ${root}`,
      `mount -o remount,bind,ro ${root}`,
      `mount -t proc proc ${root}/proc`,
      `mount --bind /dev ${root}/dev`,
    ];
    host = await newHost(mounts.join(' && '));
  });

  after(async () => {
    await host?.end();
    rmSync(folder, { recursive: true, force: true });
  });

  test('is named as the manifests ask for it', () => {
    assert.equal(opened.annotations['io.containerd.image.name'], `weft.network/weft:${VERSION}`);
    assert.equal(opened.annotations['org.opencontainers.image.ref.name'], VERSION);
    assert.equal(opened.config.architecture, native);
    assert.equal(opened.config.config.Labels['org.opencontainers.image.version'], VERSION);
    assert.equal(opened.layers, 2);
  });

  test('the same input gives the same bytes', async () => {
    const again = await makeImage(native);
    assert.ok(again.archive.equals(archive));
  });

  test('the root is read-only', async () => {
    await assert.rejects(inside('node', '-e', 'fs.writeFileSync("/x", "")'), /EROFS/);
  });

  for (const [program, answer] of [
    ['node', /^v24\./],
    ['wg', /^wireguard-tools v/],
    ['nft', /^nftables v/],
    ['wireguard-go', /^wireguard-go v?\d/],
  ] as const)
    test(`${program} runs`, async () => assert.match(await inside(program, '--version'), answer));

  test('nft knows the names of protocols, loads a table and lists it', async () => {
    const rules =
      'table inet t { chain c { type filter hook input priority 0; meta l4proto icmpv6 accept; }; }';
    await inside('nft', rules);
    assert.match(await inside('nft', 'list', 'table', 'inet', 't'), /meta l4proto ipv6-icmp accept/);
  });

  test('iptables-legacy has what one plain rule with a comment needs', async () => {
    const rule = ['-i', 'weft+', '-m', 'comment', '--comment', 'weft', '-j', 'ACCEPT'];
    const lock = `/dev/shm/weft-image-${process.pid}.lock`;
    after(() => rmSync(lock, { force: true }));
    const env = { PATH: '/usr/sbin:/usr/bin', XTABLES_LOCKFILE: lock };
    for (const program of ['iptables', 'ip6tables']) {
      const run = (...args: string[]) =>
        host.run(['chroot', join(folder, 'root'), 'xtables-legacy-multi', program, ...args], { env });
      await run('-A', 'FORWARD', ...rule);
      assert.match(await run('-v', '-n', '-L', 'FORWARD'), /weft\+ .*\/\* weft \*\//);
      await run('-D', 'FORWARD', ...rule);
    }
  });

  test('the agent starts by the image’s entry point', async () => {
    assert.equal(await inside(...opened.config.config.Entrypoint, '--version'), `weft ${VERSION}\n`);
    const help = await inside('weft');
    for (const verb of Object.keys(verbs)) assert.match(help, new RegExp(`^  ${verb} `, 'm'));
  });

  test('netlink’s native part loads from beside the bundle', async () => {
    const script = `
      const require = process.getBuiltinModule('module').createRequire('/usr/lib/weft/main.mjs');
      const native = require('./netlink.node');
      process.stdout.write(Object.keys(native).join());`;
    assert.match(await inside('node', '-e', script), /NativeNetlink/);
  });

  test('what the manifests start is there, and so is a place for each mount', async () => {
    await assert.rejects(inside(WIREGUARD_PROGRAM), /usage: weft-wireguard LINK/);
    for (const { mount } of agentMounts)
      await inside('node', '-e', 'fs.statSync(process.argv[1])', mount.mountPath);
  });

  test('the CNI binary answers', async () => {
    const answer = await host.run(['chroot', join(folder, 'root'), '/usr/lib/weft/weft-cni'], {
      env: { CNI_COMMAND: 'VERSION' },
      stdin: '{"cniVersion":"1.1.0"}',
    });
    assert.ok((JSON.parse(answer) as { supportedVersions: string[] }).supportedVersions.includes('1.1.0'));
  });
});

const skipForeign = skipNative || missing(`${ARCHITECTURES[foreign].triplet}-gcc`, 'npm');

describe('image of another architecture', { skip: skipForeign }, () => {
  test('every program and library in it is of that architecture', async () => {
    const { base, app } = await imageContents(foreign);
    const machines = [...Object.values(base), ...Object.values(app)]
      .flatMap(part => [...part.values()])
      .flatMap(entry => (entry.kind === 'file' ? (machineOf(entry.content) ?? []) : []));
    assert.ok(machines.length > 20, `${machines.length} ELF files`);
    assert.deepEqual([...new Set(machines)], [ARCHITECTURES[foreign].machine]);
  });
});
