/** Settings below /proc/sys/net. In a container that tree is read-only and the host's is mounted beside it. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { LinuxError } from './errors.ts';
import type { Sysctls } from './types.ts';

const HOST = '/host/proc/sys/net';

export const defaultSysctlBase = (): string => (existsSync(HOST) ? HOST : '/proc/sys/net');

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'EFAILED';

/** Without a thread: the kernel answers these files within microseconds, a thread's turns take a millisecond. */
export const sysctlsAt = (base: string, changed: () => void): Sysctls => ({
  read: async key => {
    try {
      return readFileSync(`${base}/${key}`, 'utf8').trim();
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw new LinuxError(codeOf(error), `read sysctl ${key}: ${codeOf(error)}`, error);
    }
  },
  write: async (key, value) => {
    changed();
    try {
      writeFileSync(`${base}/${key}`, value);
    } catch (error) {
      const cure = codeOf(error) === 'EROFS' ? `: mount the host's /proc/sys/net at ${HOST}` : '';
      throw new LinuxError(codeOf(error), `write sysctl ${key}=${value}: ${codeOf(error)}${cure}`, error);
    }
  },
});
