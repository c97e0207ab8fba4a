// A scripted browser: follows redirects with a cookie jar until a page answers. It presses no buttons, because none of
// the authorization servers used here shows a consent form.
export async function visit(start) {
    const cookies = new Map();
    let url = new URL(start);
    for (let hop = 0; hop < 10; hop++) {
        const response = await fetch(url, {
            redirect: 'manual',
            headers: { accept: 'text/html', cookie: [...cookies].map(([k, v]) => `${k}=${v}`).join('; ') },
        });
        for (const line of response.headers.getSetCookie()) {
            const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
            cookies.set(name, value);
        }
        const location = response.headers.get('location');
        if (response.status < 300 || response.status > 399 || !location)
            return { status: response.status, url: url.href, body: await response.text() };
        await response.body?.cancel();
        url = new URL(location, url);
    }
    throw new Error(`more than 10 redirects from ${start}`);
}
