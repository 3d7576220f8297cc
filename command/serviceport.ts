/** Which of a Service's ports is meant. Pure. */
import { isHeadless, type Service, type ServicePort } from './service.ts';
import type { Target } from './target.ts';
import { UsageError } from './types.ts';

const portText = ({ name, port, protocol }: ServicePort): string =>
  `${port}/${protocol.toLowerCase()}${name === undefined ? '' : ` (${name})`}`;

const keyOf = ({ namespace, name }: Service): string => `Service ${namespace}/${name}`;

const allOf = ({ ports }: Service): string => ports.map(portText).join(', ') || 'none';

const several = (service: Service): Error =>
  new UsageError(`${keyOf(service)} has several ports: say one of ${allOf(service)}`);

/** Only where there is no other one needs a port not be said. */
function onlyPort(service: Service): ServicePort {
  const [only, ...more] = service.ports;
  if (only === undefined)
    throw new UsageError(
      `${keyOf(service)} has no ports${isHeadless(service) ? ': say the one that its pods have' : ''}`,
    );
  if (more.length > 0) throw several(service);
  return only;
}

/** As its clients name it. Throws UsageError where a Service, which answers at its ports alone, has no such one. */
export function portOf(service: Service, { port, protocol }: Target): ServicePort {
  if (port === undefined) return onlyPort(service);
  const fits = service.ports.filter(
    p => (p.port === port || p.name === port) && (protocol === undefined || p.protocol === protocol),
  );
  // As a client that says no protocol: DNS has 53 for both.
  const [meant] = fits.length > 1 ? fits.filter(p => p.protocol === 'TCP') : fits;
  if (meant !== undefined) return meant;
  if (fits.length > 1) throw several(service);
  // DNS gives addresses; at which port they are spoken to is the client's own matter.
  if (typeof port === 'number' && isHeadless(service))
    return { name: undefined, port, protocol: protocol ?? 'TCP' };
  const asked = protocol === undefined ? String(port) : `${port}/${protocol.toLowerCase()}`;
  throw new UsageError(`${keyOf(service)} has no port ${asked}; it has ${allOf(service)}`);
}
