/** Binary first, conflist last, marker after that: a runtime finds nothing that cannot serve yet. */
import { writeFileSync } from 'node:fs';
import { installBinary, installConflist, type OtherConfigs, otherConfigs } from '../cni/install.ts';
import type { Config } from '../config.ts';
import { READY_MARKER } from '../constants.ts';
import type { Log } from './log.ts';
import { shimPath } from './shim.ts';

export type Installation = {
  /** Puts everything in place once `canServe`, and again where somebody removed it. Never throws. */
  readonly ensure: (canServe: boolean) => void;
  /** Why it is not in place; undefined where it is. */
  readonly reason: () => string | undefined;
  /** CNI configurations of others that the runtime takes before ours, and those that it does not look at. */
  readonly others: () => OtherConfigs;
};

const NONE: OtherConfigs = { earlier: [], later: [] };

export function openInstallation(config: Config, log: Log): Installation {
  let reason: string | undefined = 'not installed yet: the parts above come first';

  const install = (): void => {
    installBinary({ source: shimPath(), binDir: config.cniBinDir, log });
    installConflist({ confDir: config.cniConfDir, log });
    writeFileSync(READY_MARKER, '');
  };

  const ensure = (canServe: boolean): void => {
    // Once installed it stays: a node that has trouble later must still be able to remove its pods.
    if (!canServe && reason !== undefined) return;
    try {
      install();
      if (reason !== undefined)
        log.info({ binDir: config.cniBinDir, confDir: config.cniConfDir }, 'installed; pods can be wired');
      reason = undefined;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (message !== reason) log.error({ error: message }, 'the CNI plugin cannot be installed');
      reason = message;
    }
  };
  const others = (): OtherConfigs => {
    try {
      return otherConfigs(config.cniConfDir);
    } catch {
      // That the directory cannot be read is the reason above.
      return NONE;
    }
  };
  return { ensure, reason: () => reason, others };
}
