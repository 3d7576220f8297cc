/** One run of QEMU: what it is started with, what it says, and how it ended. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export type Machine = {
  readonly vmlinuz: string;
  readonly initrd: string;
  /** Folder for the console's and the status' file. */
  readonly dir: string;
  readonly memoryMb: number;
  readonly cpus: number;
  /** For the guest to say that it runs the job. */
  readonly bootMs: number;
  /** For the job. */
  readonly jobMs: number;
  readonly onOutput: (chunk: Buffer) => void;
  /** Ends the machine at once. */
  readonly signal?: AbortSignal;
  /** Another program in QEMU's place. */
  readonly qemu?: string;
};

/** A guest that did not come to its job's end, with the last lines of its console. */
export class MachineError extends Error {}

const KERNEL_WORDS = [
  'console=ttyS0 quiet panic=-1 nowatchdog mitigations=off norandmaps',
  // A busy host answers the timers' tests too late; without its clock every look at the time is a trap.
  'no_timer_check tsc=reliable rcupdate.rcu_cpu_stall_suppress=1 random.trust_cpu=on',
].join(' ');

const port = (name: string, backend: string): readonly string[] => [
  '-chardev',
  `${backend},id=${name}`,
  '-device',
  `virtserialport,chardev=${name},name=${name}`,
];

/** Emulated also where there is a /dev/kvm: in rented machines that is often there and does not work. */
const HARDWARE = [
  '-machine q35 -accel tcg,thread=multi -cpu max',
  '-display none -monitor none -no-reboot -nic none',
  '-fsdev local,id=root,path=/,security_model=none,readonly=on,multidevs=remap',
  '-device virtio-9p-pci,fsdev=root,mount_tag=rootfs -device virtio-rng-pci -device virtio-serial-pci',
].flatMap(words => words.split(' '));

/** Standard input stays open: its end would close the port, and the guest's writes would block for ever. */
const argvOf = (m: Machine): readonly string[] => [
  m.qemu ?? 'qemu-system-x86_64',
  ...HARDWARE,
  '-smp',
  String(m.cpus),
  '-m',
  String(m.memoryMb),
  '-serial',
  `file:${join(m.dir, 'console')}`,
  ...port('output', 'stdio,signal=off'),
  ...port('status', `file,path=${join(m.dir, 'status')}`),
  '-kernel',
  m.vmlinuz,
  '-initrd',
  m.initrd,
  '-append',
  KERNEL_WORDS,
];

const textOf = (file: string): string => (existsSync(file) ? readFileSync(file, 'utf8') : '');

const CONSOLE_LINES = 15;

const lastWords = (m: Machine, said: string): string => {
  const lines = `${said}${textOf(join(m.dir, 'console'))}`.split(/\r?\n/).filter(line => line.trim() !== '');
  return lines.length === 0
    ? 'it said nothing on its console'
    : `its console's last lines:\n  ${lines.slice(-CONSOLE_LINES).join('\n  ')}`;
};

/** QEMU goes with this process, however that ends. */
function start(m: Machine): ChildProcess {
  const argv = ['--pdeathsig', 'KILL', '--', ...argvOf(m)];
  return spawn('setpriv', argv, { stdio: ['pipe', 'pipe', 'pipe'] });
}

const POLL_MS = 100;

/** Undefined while it goes as it should. */
async function overdue(m: Machine, ended: () => boolean): Promise<string | undefined> {
  const status = join(m.dir, 'status');
  const began = performance.now();
  const since = (): number => performance.now() - began;
  const seconds = (ms: number): string => `${Math.round(ms / 1000)} s`;
  while (!ended() && !textOf(status).includes('started')) {
    if (since() > m.bootMs) return `the kernel did not come to its job within ${seconds(m.bootMs)}`;
    await sleep(POLL_MS);
  }
  const booted = since();
  while (!ended()) {
    if (since() - booted > m.jobMs) return `the job in the kernel did not end within ${seconds(m.jobMs)}`;
    await sleep(POLL_MS);
  }
  return undefined;
}

/** Resolves with the job's exit status. Rejects with MachineError; QEMU has ended in any case. */
export async function runMachine(m: Machine): Promise<number> {
  const child = start(m);
  let said = '';
  let ended = false;
  const closed = new Promise<void>(resolve => {
    child.once('error', error => {
      said += `${error.message}\n`;
      ended = true;
      resolve();
    });
    child.once('close', () => {
      ended = true;
      resolve();
    });
  });
  child.stdout?.on('data', m.onOutput);
  child.stderr?.on('data', chunk => {
    said += chunk;
  });
  child.stdin?.on('error', () => {});
  const kill = (): boolean => child.kill('SIGKILL');
  m.signal?.addEventListener('abort', kill);
  const late = await overdue(m, () => ended);
  kill();
  await closed;
  m.signal?.removeEventListener('abort', kill);
  const [, code] = /^exit (\d+)$/m.exec(textOf(join(m.dir, 'status'))) ?? [];
  if (late === undefined && code !== undefined) return Number(code);
  const what = m.signal?.aborted
    ? 'the machine was ended from outside'
    : (late ?? 'the machine ended before its job did');
  throw new MachineError(`${what}; ${lastWords(m, said)}`);
}
