/** What other CNI plugins left in the runtime's directory. Links that they left are the host's matter. Pure. */
import { CONFLIST } from '../constants.ts';

/** `earlier`: names of configurations that come before ours in `dir`; the runtime uses the first one only. */
export const leftoverConfigs = (dir: string, earlier: readonly string[]): readonly string[] =>
  earlier.length === 0
    ? []
    : [
        `the container runtime uses ${dir}/${earlier[0]} and not weft's ${CONFLIST}, which comes after it: remove ${earlier.join(', ')}, unless it is meant`,
      ];
