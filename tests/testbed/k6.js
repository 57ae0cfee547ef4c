// Clients of a site, as k6 sees them: half of them ask over a new connection each time. Whatever is
// not answered with 200 has failed. A line of JSON at the end counts them, and
// has how many there were in a second, and the seconds within which 99 of 100 were answered.
import http from "k6/http";
import { sleep } from "k6";

http.setResponseCallback(http.expectedStatuses(200));

export const options = {
  vus: Number(__ENV.CLIENTS),
  duration: __ENV.DURATION,
  summaryTrendStats: ["p(99)"],
};

const paths = __ENV.PATHS.split(" ");

export function setup() {
  console.log("k6 begins");
}

export default function () {
  const path = paths[__ITER % paths.length];
  const headers = __VU % 2 ? {} : { Connection: "close" };
  const answer = http.get(`${__ENV.SITE}${path}`, { headers, timeout: "30s" });
  if (answer.status !== 200) {
    console.error(`failed: ${path}: ${answer.status} ${answer.error}`);
  }
  sleep(Number(__ENV.PAUSE));
}

export function handleSummary(data) {
  const { count: total, rate } = data.metrics.http_reqs?.values ?? { count: 0, rate: 0 };
  const failed = data.metrics.http_req_failed ? data.metrics.http_req_failed.values.passes : 0;
  const p99 = total ? data.metrics.http_req_duration.values["p(99)"] / 1000 : 0;
  return { stdout: `${JSON.stringify({ total, failed, p99, rate })}\n` };
}
