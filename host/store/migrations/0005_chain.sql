-- The hash chain over each instance's history: the link of each row, and the last one beside the instance's number, so that
-- whoever goes on with it needs no other row. What was there before is linked once, right after this script.
ALTER TABLE history ADD COLUMN chain BLOB;
ALTER TABLE instances ADD COLUMN chain BLOB;
