package sim

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// ListObjectVersions lists all versions and delete markers in the order of their
// keys, of each key the newest first, 1,000 a page together. The two are lists of
// their own, so that the order between them is not told.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
func (s *S3) ListObjectVersions(ctx context.Context, in *s3.ListObjectVersionsInput, _ ...func(*s3.Options)) (*s3.ListObjectVersionsOutput, error) {
	return invoke(ctx, s.a, operation{
		service: "s3", action: "ListObjectVersions", resources: objectResources(in.Bucket, nil),
		needs: []string{"Bucket"},
		takes: []string{"Prefix", "KeyMarker", "VersionIdMarker", "MaxKeys", "ExpectedBucketOwner"},
	}, in, s.listObjectVersions)
}

func (s *S3) listObjectVersions(in *s3.ListObjectVersionsInput, _ bool) (*s3.ListObjectVersionsOutput, error) {
	b, err := s.owned(in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	most, err := page(in.MaxKeys)
	if err != nil {
		return nil, err
	}
	key, version := aws.ToString(in.KeyMarker), aws.ToString(in.VersionIdMarker)
	if key == "" && version != "" {
		return nil, refusal("InvalidArgument", "A version-id marker cannot be specified without a key marker.")
	}
	out := &s3.ListObjectVersionsOutput{
		Name: in.Bucket, Prefix: in.Prefix, KeyMarker: in.KeyMarker, VersionIdMarker: in.VersionIdMarker, MaxKeys: aws.Int32(int32(most)), IsTruncated: aws.Bool(false),
	}
	for _, k := range slices.Sorted(maps.Keys(b.versions)) {
		if k < key || k == key && version == "" || !strings.HasPrefix(k, aws.ToString(in.Prefix)) {
			continue
		}
		after := k == key // the marker itself, and what is newer, was on the page before
		for n, o := range slices.Backward(b.versions[k]) {
			if after {
				after = o.version != version
				continue
			}
			if len(out.Versions)+len(out.DeleteMarkers) == most {
				out.IsTruncated = aws.Bool(most > 0)
				return out, nil
			}
			newest := aws.Bool(n == len(b.versions[k])-1)
			out.NextKeyMarker, out.NextVersionIdMarker = &o.key, &o.version
			if o.marker {
				out.DeleteMarkers = append(out.DeleteMarkers, types.DeleteMarkerEntry{Key: &o.key, VersionId: &o.version, IsLatest: newest, LastModified: &o.modified})
				continue
			}
			out.Versions = append(out.Versions, types.ObjectVersion{
				Key: &o.key, VersionId: &o.version, IsLatest: newest, LastModified: &o.modified, ETag: &o.etag, Size: aws.Int64(o.length()), StorageClass: types.ObjectVersionStorageClassStandard,
			})
		}
	}
	out.NextKeyMarker, out.NextVersionIdMarker = nil, nil
	return out, nil
}

// Hide puts a delete marker over an object, as whoever changed the bucket's policy
// can.
func (o Others) Hide(bucket, key string) {
	b := o.a.s3.buckets[bucket]
	b.versions[key] = append(b.versions[key], &object{key: key, version: o.a.s3.id("version"), modified: o.a.now(), marker: true})
}

// Relock gives the oldest version of an object another retention, or none: whoever
// may bypass governance mode shortens it, and takes it away with an empty one.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
func (o Others) Relock(bucket, key string, r *types.ObjectLockRetention) {
	o.a.s3.buckets[bucket].versions[key][0].retention = r
}

// Hold puts the oldest version of an object under legal hold.
func (o Others) Hold(bucket, key string) { o.a.s3.buckets[bucket].versions[key][0].legalHold = true }

// Destroy deletes the oldest version of an object.
func (o Others) Destroy(bucket, key string) {
	b := o.a.s3.buckets[bucket]
	if b.versions[key] = b.versions[key][1:]; len(b.versions[key]) == 0 {
		delete(b.versions, key)
	}
}
