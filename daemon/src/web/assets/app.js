// The pages work without this. It writes times in the reader's time zone.
'use strict';

for (const time of document.querySelectorAll('time[datetime]')) {
    time.title = time.textContent;
    time.textContent = new Date(time.dateTime).toLocaleString();
}
