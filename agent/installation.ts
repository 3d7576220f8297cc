/** Binary first, conflist last, marker after that: a runtime finds nothing that cannot serve yet. */
import { statSync, writeFileSync } from 'node:fs';
import {
  installBinary,
  installConflist,
  installedFiles,
  type OtherConfigs,
  otherConfigs,
} from '../cni/install.ts';
import type { Config } from '../config.ts';
import { READY_MARKER } from '../constants.ts';
import type { Log } from './log.ts';
import { shimPath } from './shim.ts';

export type Installation = {
  /**
   * Puts everything in place once `canServe`, and again where somebody removed it. Never throws.
   * @returns how many files somebody had removed or changed since they were in place
   */
  readonly ensure: (canServe: boolean) => number;
  /** Whether what is in place is what `ensure` left there, by a look at each file that does not read it. */
  readonly untouched: () => boolean;
  /** Why it is not in place; undefined where it is. */
  readonly reason: () => string | undefined;
  /** CNI configurations of others that the runtime takes before ours, and those that it does not look at. */
  readonly others: () => OtherConfigs;
};

const NONE: OtherConfigs = { earlier: [], later: [] };

const lookAt = (path: string): string => {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? '' : `${found.ino} ${found.size} ${found.mtimeMs}`;
};

export function openInstallation(config: Config, log: Log): Installation {
  const { cniBinDir: binDir, cniConfDir: confDir } = config;
  let reason: string | undefined = 'not installed yet: the parts above come first';
  let left = '';

  const look = (): string => installedFiles(binDir, confDir).map(lookAt).join();

  const install = (): number => {
    const written = installBinary({ source: shimPath(), binDir, log }) + installConflist({ confDir, log });
    writeFileSync(READY_MARKER, '');
    left = look();
    return written;
  };

  const ensure = (canServe: boolean): number => {
    // Once installed it stays: a node that has trouble later must still be able to remove its pods.
    if (!canServe && reason !== undefined) return 0;
    const wasThere = reason === undefined;
    try {
      const written = install();
      if (!wasThere) log.info({ binDir, confDir }, 'installed; pods can be wired');
      reason = undefined;
      return wasThere ? written : 0;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (message !== reason) log.error({ error: message }, 'the CNI plugin cannot be installed');
      reason = message;
      return 0;
    }
  };
  const untouched = (): boolean => reason !== undefined || look() === left;
  const others = (): OtherConfigs => {
    try {
      return otherConfigs(confDir);
    } catch {
      // That the directory cannot be read is the reason above.
      return NONE;
    }
  };
  return { ensure, untouched, reason: () => reason, others };
}
