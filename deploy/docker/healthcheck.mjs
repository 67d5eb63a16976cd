// The image's health check: 0 where the daemon answers on its admin listener. In JavaScript, so that it needs nothing but Node.
const admin = process.env.TORWART_ADMIN ?? '127.0.0.1:9180';
try {
  const response = await fetch(`http://${admin}/healthz`, {signal: AbortSignal.timeout(2_000)});
  process.exit(response.ok ? 0 : 1);
} catch {
  process.exit(1);
}
