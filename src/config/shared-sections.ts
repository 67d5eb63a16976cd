/** Sections that the node and customers have in common. */
import {z} from 'zod';
import {checked, checkNames} from '#src/config/checks.ts';
import {choice, duration, integer, name, rate, section} from '#src/config/scalars.ts';

const BURST_MAX = 10_000_000;

export const limitsSection = checked(z.array(section({
  name: name.describe('Unique within the file.'),
  key: choice('client', 'customer').prefault('client').describe('What has a bucket of its own: each client (an IPv4 address or an IPv6 /64), or the customer as a whole.'),
  rate: rate.describe('Requests that are admitted on average.'),
  burst: integer(1, BURST_MAX).optional().describe('Requests that are admitted at once after a pause. Default: the number in the rate.'),
})).max(16), checkNames('limit')).prefault([]);

/** Timeouts that sites and routes may set; where they do not, the next outer level decides. */
export const routeTimeoutsSection = section({
  connect: duration().optional().describe('To connect to a server. Default: the outer level.'),
  request_body_idle: duration().optional().describe('Between two parts of the request body. Default: the outer level.'),
  response_head: duration().optional().describe('From the end of the request to the head of the response. Default: the outer level.'),
  response_idle: duration().optional().describe('Between two parts of the response. Default: the outer level.'),
  event_stream_idle: duration().optional().describe('The same for responses of the type `text/event-stream`. Default: the outer level.'),
}).prefault({});
