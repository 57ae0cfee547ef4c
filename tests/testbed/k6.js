// Clients of a site, as k6 sees them: half of them ask over a new connection each time. Whatever is
// not answered with 200 has failed. A line of JSON at the end counts them, and
// has the seconds within which 99 of 100 were answered, and of each path those within which half were.
import http from "k6/http";
import { sleep } from "k6";
import { Trend } from "k6/metrics";

http.setResponseCallback(http.expectedStatuses(200));

export const options = {
  vus: Number(__ENV.CLIENTS),
  duration: __ENV.DURATION,
  summaryTrendStats: ["med", "p(99)"],
};

const paths = __ENV.PATHS.split(" ");
const times = paths.map((_, number) => new Trend(`path_${number}`));

export function setup() {
  console.log("k6 begins");
}

export default function () {
  // Not the same order each time: a server of two processes may answer each path by one of them.
  const number = (__ITER + Math.floor(__ITER / paths.length)) % paths.length;
  const path = paths[number];
  const headers = __VU % 2 ? {} : { Connection: "close" };
  const answer = http.get(`${__ENV.SITE}${path}`, { headers, timeout: "30s" });
  times[number].add(answer.timings.duration / 1000);
  if (answer.status !== 200) {
    console.error(`failed: ${path}: ${answer.status} ${answer.error}`);
  }
  sleep(Number(__ENV.PAUSE));
}

export function handleSummary(data) {
  const total = data.metrics.http_reqs ? data.metrics.http_reqs.values.count : 0;
  const failed = data.metrics.http_req_failed ? data.metrics.http_req_failed.values.passes : 0;
  const p99 = total ? data.metrics.http_req_duration.values["med", "p(99)"] / 1000 : 0;
  const medians = paths.map((_, number) => data.metrics[`path_${number}`]?.values.med ?? 0);
  return { stdout: `${JSON.stringify({ total, failed, p99, medians })}\n` };
}
