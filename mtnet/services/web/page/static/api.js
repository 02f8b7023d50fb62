// The HTTP API, for what is asked for once.

// Returns the JSON of an answer; an error has the sentence and the status of the server.
export async function ask(method, path, body) {
  const options = { method, credentials: "same-origin" };
  if (body !== undefined) options.body = JSON.stringify(body);
  const answer = await fetch(path, options);
  const text = await answer.text();
  const said = text ? JSON.parse(text) : null;
  if (!answer.ok) throw Object.assign(new Error(said?.text ?? answer.statusText), { status: answer.status });
  return said;
}
