/** The contract suite against the embedded API server. */
import { startApiServer } from '../apiserver/server.ts';
import { apiServerContract } from './apiserver.ts';

const TOKEN = 'secret';

apiServerContract('embedded API server', async () => {
  const { url, store, stop } = await startApiServer({ token: TOKEN });
  return { url, token: TOKEN, forget: async () => store.forget(), stop };
});
