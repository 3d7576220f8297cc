/** The same data path beside a kube-proxy that works by iptables. */
import { onWeft } from './weft/bed.ts';
import { reach } from './weft/reach.ts';
import { removal } from './weft/removal.ts';
import { sources } from './weft/sources.ts';

onWeft('weft beside kube-proxy with iptables', { name: 'weft-cluster-iptables', proxyMode: 'iptables' }, [
  reach,
  sources,
  removal,
]);
