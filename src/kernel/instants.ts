const dayMs = 86_400_000;

/**
 * A wall time for people, in UTC to the millisecond: `2026-01-31T12:00:00.000Z`. What lies outside of the years 0 … 9999 is shown as
 * the nearest instant within. Days to dates after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
 */
export function formatInstant(unixMs: number): string {
  const clamped = Math.min(Math.max(Math.floor(unixMs), -62_167_219_200_000), 253_402_300_799_999);
  const days = Math.floor(clamped / dayMs);
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  // Counted from March.
  const month = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * month + 2) / 5) + 1;
  const year = yearOfEra + era * 400 + (month >= 10 ? 1 : 0);
  const restMs = clamped - days * dayMs;
  const date = `${digits(year, 4)}-${digits(month >= 10 ? month - 9 : month + 3, 2)}-${digits(day, 2)}`;
  const time = [restMs / 3_600_000, (restMs / 60_000) % 60, (restMs / 1000) % 60].map((part) => digits(Math.floor(part), 2)).join(":");
  return `${date}T${time}.${digits(restMs % 1000, 3)}Z`;
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const httpDate = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT$/;

/**
 * The date of HTTP (RFC 9110, 5.6.7), `Sun, 06 Nov 1994 08:49:37 GMT`, as wall time; undefined for anything else, the two obsolete
 * forms included. Dates to days after the same source.
 */
export function parseHttpDate(text: string): number | undefined {
  const [, day, name = "", yearText, hours, minutes, seconds] = httpDate.exec(text) ?? [];
  const month = months.indexOf(name);
  if (month < 0) return undefined;
  const year = Number(yearText) - (month < 2 ? 1 : 0);
  const era = Math.floor(year / 400);
  const yearOfEra = year - era * 400;
  const dayOfYear = Math.floor((153 * ((month + 10) % 12) + 2) / 5) + Number(day) - 1;
  const days = era * 146_097 + yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear - 719_468;
  return days * dayMs + Number(hours) * 3_600_000 + Number(minutes) * 60_000 + Number(seconds) * 1000;
}

function digits(value: number, width: number): string {
  return String(value).padStart(width, "0");
}
