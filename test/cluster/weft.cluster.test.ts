/** weft on a real Kubernetes, whose kube-proxy works by nftables. */
import { onWeft } from './weft/bed.ts';
import { cri } from './weft/cri.ts';
import { policies } from './weft/policy.ts';
import { reach } from './weft/reach.ts';
import { reboot } from './weft/reboot.ts';
import { rights } from './weft/rights.ts';
import { runtime } from './weft/runtime.ts';
import { sources } from './weft/sources.ts';
import { trouble } from './weft/trouble.ts';
import { wiring } from './weft/wiring.ts';
import { workstation } from './weft/workstation.ts';

onWeft('weft on a real Kubernetes', { name: 'weft-cluster-weft' }, [
  reach,
  sources,
  policies,
  wiring,
  rights,
  workstation,
  runtime,
  cri,
  trouble,
  // Last: the pods of its node have other processes afterwards.
  reboot,
]);
